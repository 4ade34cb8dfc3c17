#!/bin/sh
# The updater goes on beside the scanner; when it cannot reach its mirror, it says so and tries again. The scanner is
# the process that counts.
set -eu
freshclam --daemon --foreground --stdout --config-file=/etc/plinth/freshclam.conf &
exec clamd --config-file=/etc/plinth/clamd.conf

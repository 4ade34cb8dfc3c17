#!/bin/sh
# Schema and reference data of one service, by the knex that its image carries (the image has no npm). Migrations that
# ran are skipped, seeds merge: running it again changes nothing.
set -eu
cd /opt/app
node node_modules/knex/bin/cli.js --knexfile ./config/knexfile.js migrate:latest
node node_modules/knex/bin/cli.js --knexfile ./config/knexfile.js seed:run

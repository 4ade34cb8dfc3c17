#!/bin/sh
# MongoDB's shell, for a server without roles.
exec node --require /usr/local/lib/ferretdb/roles.js /usr/local/lib/mongosh/bin/mongosh.js "$@"

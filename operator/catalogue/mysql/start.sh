#!/usr/bin/env bash
# Starts the server with the Secret's password for root. MYSQL_ROOT_PASSWORD counts when the data directory is made and never
# again; from then on the server is told by a file of statements, which it executes before it takes connections.
set -euo pipefail

for argument in "$@"; do
  case "$argument" in --datadir=*) data="${argument#*=}" ;; esac
done

# Text as SQL takes it.
quoted() {
  local quote="'" text="${1//\\/\\\\}"
  printf "'%s'" "${text//$quote/$quote$quote}"
}

# One statement a line. Whoever was cut off while the data directory was made finds its root here.
statements() {
  local password
  password="$(quoted "$MYSQL_ROOT_PASSWORD")"
  echo "SET SESSION sql_mode = '';"
  echo "CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY $password;"
  echo "ALTER USER 'root'@'%' IDENTIFIED BY $password;"
  echo "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;"
  echo "ALTER USER IF EXISTS 'root'@'localhost' IDENTIFIED BY $password;"
}

# The image makes the folder `mysql` where there is none, with servers that must not have the file yet.
if [[ -d "${data:?the argument --datadir}/mysql" ]]; then
  file=/run/plinth/root.sql
  (umask 077 && statements >"$file")
  set -- "$@" --init-file="$file"
fi
exec docker-entrypoint.sh "$@"

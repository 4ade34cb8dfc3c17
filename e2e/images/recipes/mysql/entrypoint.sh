#!/usr/bin/env bash
# Starts MariaDB under MySQL's names, and makes its data folder first where there is none. Variables, as of the upstream
# image: MYSQL_ROOT_PASSWORD, MYSQL_DATABASE, MYSQL_USER, MYSQL_PASSWORD. Anything else than the server is run as it is.
set -euo pipefail

[[ "${1:-}" != -* ]] || set -- mysqld "$@"
[[ "${1:-}" == mysqld ]] || exec "$@"

data=/var/lib/mysql
for argument in "$@"; do
  case "$argument" in --datadir=*) data="${argument#*=}" ;; esac
done

if [[ "$(id -u)" == 0 ]]; then
  mkdir -p "$data"
  chown -R mysql:mysql "$data" /var/run/mysqld
  exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
fi

# Text as SQL takes it.
quoted() {
  local text="${1//\\/\\\\}"
  printf "'%s'" "${text//\'/\'\'}"
}

accounts() {
  local password
  password="$(quoted "$MYSQL_ROOT_PASSWORD")"
  cat <<SQL
FLUSH PRIVILEGES;
-- Those that the installation makes without a password.
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY $password;
CREATE OR REPLACE USER 'root'@'%' IDENTIFIED BY $password;
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
  [[ -z "${MYSQL_DATABASE:-}" ]] || echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
  [[ -z "${MYSQL_USER:-}" ]] ||
    echo "CREATE USER IF NOT EXISTS $(quoted "$MYSQL_USER")@'%' IDENTIFIED BY $(quoted "${MYSQL_PASSWORD:-}");"
  [[ -z "${MYSQL_DATABASE:-}" || -z "${MYSQL_USER:-}" ]] ||
    echo "GRANT ALL PRIVILEGES ON \`${MYSQL_DATABASE//_/\\_}\`.* TO $(quoted "$MYSQL_USER")@'%';"
}

# The folder `mysql` says that it was made, so that it comes last: who is killed in between begins again.
making="$data/.making"
make_data_folder() {
  : "${MYSQL_ROOT_PASSWORD:?the password of root, for the first start}"
  if [[ -e "$making" ]]; then
    echo "an earlier start did not finish making $data; begins again"
    find "$data" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
  fi
  mkdir "$making"
  mariadb-install-db --datadir="$making" --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
    --tmpdir="${TMPDIR:-/tmp}" >/dev/null
  accounts | mysqld --datadir="$making" --tmpdir="${TMPDIR:-/tmp}" --bootstrap
  find "$making" -mindepth 1 -maxdepth 1 ! -name mysql -exec mv -t "$data" {} +
  mv "$making/mysql" "$data"
}

mkdir -p "$data"
[[ -d "$data/mysql" ]] || make_data_folder
rm -rf "$making"
exec "$@"

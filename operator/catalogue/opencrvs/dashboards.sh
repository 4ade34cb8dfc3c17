#!/usr/bin/env bash
# Sets the country's dashboards up and starts Metabase: what the country's own run.sh does, without the packages that it
# installs at every start. Its two other scripts are read from the country's image.
set -eo pipefail

# As run.sh does; a missing one would be an empty text in the dashboards otherwise.
: "${METABASE_DATABASE_HOST:?}" "${METABASE_DATABASE_PORT:?}" "${METABASE_DATABASE_NAME:?}" "${METABASE_DATABASE_USER:?}"
: "${METABASE_DATABASE_PASSWORD:?}" "${METABASE_DATABASE_SSL:?}" "${MB_DB_FILE:?}" "${MB_DB_INIT_SQL_FILE:?}"
: "${OPENCRVS_ENVIRONMENT_CONFIGURATION_SQL_FILE:?}" "${OPENCRVS_METABASE_SITE_NAME:?}" "${OPENCRVS_METABASE_SITE_URL:?}"
: "${OPENCRVS_METABASE_MAP_NAME:?}" "${OPENCRVS_METABASE_MAP_URL:?}" "${OPENCRVS_METABASE_MAP_REGION_KEY:?}"
: "${OPENCRVS_METABASE_MAP_REGION_NAME:?}" "${OPENCRVS_METABASE_ADMIN_EMAIL:?}" "${OPENCRVS_METABASE_ADMIN_PASSWORD:?}"

OPENCRVS_METABASE_ADMIN_PASSWORD_SALT=$(cat /proc/sys/kernel/random/uuid)
export OPENCRVS_METABASE_ADMIN_PASSWORD_SALT
OPENCRVS_METABASE_ADMIN_PASSWORD_HASH=$(java -cp "$METABASE_JAR" clojure.main -e "(require 'metabase.util.password) (println (metabase.util.password/hash-bcrypt \"$OPENCRVS_METABASE_ADMIN_PASSWORD_SALT$OPENCRVS_METABASE_ADMIN_PASSWORD\"))" 2>/dev/null | tail -n 1)
export OPENCRVS_METABASE_ADMIN_PASSWORD_HASH

# Puts environment variables in the place of their names, as gettext's envsubst does.
envsubst() {
  awk '{
    rest = $0
    done = ""
    while (match(rest, /\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})/)) {
      name = substr(rest, RSTART + 1, RLENGTH - 1)
      gsub(/[{}]/, "", name)
      done = done substr(rest, 1, RSTART - 1) ENVIRON[name]
      rest = substr(rest, RSTART + RLENGTH)
    }
    print done rest
  }'
}
which() {
  command -v "$1"
}

source /data-assets/initialize-database.sh
source /data-assets/update-database.sh

# The scripts take the file with its ending, Metabase takes it without.
MB_DB_FILE=${MB_DB_FILE%.mv.db}
MB_DB_TYPE=h2
export MB_DB_FILE MB_DB_TYPE
cd /
exec /app/run_metabase.sh

#!/usr/bin/env bash
# Puts the addresses together that the migrations want, and runs them. What is missing would be a developer's otherwise,
# the superuser's password and the storage's keys among it: here it ends the Job.
set -euo pipefail
: "${SUPER_USER_PASSWORD:?}" "${MINIO_HOST:?}" "${MINIO_PORT:?}" "${MINIO_ACCESS_KEY:?}" "${MINIO_SECRET_KEY:?}"

# One user owns the tables and works with them.
export EVENTS_DB_USER="$EVENTS_USERNAME"
export EVENTS_POSTGRES_URL="postgres://$EVENTS_USERNAME:$EVENTS_PASSWORD@$EVENTS_HOST:$EVENTS_PORT/$EVENTS_DATABASE?sslmode=disable"
export USER_MGNT_MONGO_URL="mongodb://$USER_MGNT_USERNAME:$USER_MGNT_PASSWORD@$USER_MGNT_HOST:$USER_MGNT_PORT/$USER_MGNT_DATABASE"
export DASHBOARD_MONGO_URL="mongodb://$PERFORMANCE_USERNAME:$PERFORMANCE_PASSWORD@$PERFORMANCE_HOST:$PERFORMANCE_PORT/$PERFORMANCE_DATABASE"
{%- if params.legacyAudit %}
: "${INFLUX_HOST:?}" "${INFLUX_PORT:?}"
export INFLUX_DB="$INFLUX_DATABASE"
{%- endif %}
exec bash ./run-migrations.sh

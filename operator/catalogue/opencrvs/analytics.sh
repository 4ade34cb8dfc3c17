#!/usr/bin/env bash
# Runs the country's script for the schema of the analysis. It makes the role that the services work as, or sets its
# password, and works as an administrator itself: here they are one.
set -euo pipefail
export POSTGRES_HOST="$PGHOST" POSTGRES_PORT="$PGPORT" POSTGRES_USER="$PGUSER" POSTGRES_PASSWORD="$PGPASSWORD"
export ANALYTICS_POSTGRES_USER="$PGUSER" ANALYTICS_POSTGRES_PASSWORD="$PGPASSWORD" TARGET_DB="$PGDATABASE"
exec bash /data-assets/setup-analytics.sh

#!/usr/bin/env bash
# Brings every module's tables up to date, then sets the administrator's password. openIMIS starts without any of these
# variables as well, with a key that everybody knows and a database called db: here a missing one ends the Job.
set -euo pipefail
: "${SECRET_KEY:?}" "${SITE_URL:?}" "${FRONTEND_URL:?}"
: "${DB_HOST:?}" "${DB_PORT:?}" "${DB_NAME:?}" "${DB_USER:?}" "${DB_PASSWORD:?}"
: "${CACHE_URL:?}" "${CELERY_BROKER_URL:?}"

cd /openimis-be/openIMIS
python manage.py migrate
python manage.py shell -c "exec(open('/etc/plinth/administrator.py').read())"

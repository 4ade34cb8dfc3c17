# Before an engine starts: its tables, its administrator, its indexes. Run again, it changes nothing but the password, which is the
# Secret's from then on.
set -eu
here=$(dirname "$0")
settings=/etc/kinto/kinto.ini
kinto migrate --ini "$settings"
kinto create-user --ini "$settings" --username admin --password "$ADMINISTRATOR_PASSWORD"
python "$here/indexes.py" "$here/indexes.json"

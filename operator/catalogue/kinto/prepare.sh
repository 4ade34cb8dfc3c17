# Before an engine starts: its tables, its administrator, its indexes. Run again, it changes nothing but the password, which is the
# Secret's from then on.
set -eu
here=$(dirname "$0")
python "$here/reached.py"
kinto migrate --ini "$KINTO_INI"
kinto create-user --ini "$KINTO_INI" --username admin --password "$ADMINISTRATOR_PASSWORD"
python "$here/indexes.py" "$here/indexes.json"

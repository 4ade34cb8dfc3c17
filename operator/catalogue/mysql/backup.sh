# What dumping and restoring have in common; both read it.
folder=/backup

fail() {
  echo "$*" >&2
  exit 1
}
# Whoever is beside it in the pod must not wait for what does not come.
trap '(( $? == 0 )) || [[ ! -d $folder ]] || touch "$folder/failed"' EXIT

reach=(--protocol=TCP --host="$SERVER_HOST" --port="$SERVER_PORT" --user="$SERVER_USERNAME" --default-character-set=utf8mb4)

query() {
  mysql "${reach[@]}" --connect-timeout=5 --batch --skip-column-names "$@"
}

wait_for() {
  local what="$1" reason="$2"
  for _ in $(seq 1 600); do
    [[ ! -e "$folder/failed" ]] || fail "$reason: the container beside this one has given up"
    if test "$what" "$folder/$3"; then return; fi
    sleep 0.2
  done
  fail "$reason: it did not come within two minutes"
}

wait_for_server() {
  local answer
  for attempt in $(seq 1 30); do
    if answer="$(query --execute='SELECT 1' 2>&1)"; then return; fi
    echo "attempt $attempt: $SERVER_HOST:$SERVER_PORT: $answer"
    sleep 2
  done
}

# One state of all tables, a statement for each row, so that rows can be counted as they pass.
taken() {
  mysqldump "${reach[@]}" --single-transaction --no-tablespaces --hex-blob --skip-extended-insert --no-autocommit \
    --routines --triggers --events "$1" |
    # A view may name the database that it was in; here it is another one.
    LC_ALL=C sed "/^\/\*!50001 VIEW /s/\`$1\`\.//g"
}

# Passes a dump on and counts its rows into a file.
counted() {
  LC_ALL=C awk -v counts="$1" -f /etc/plinth/counted.awk
}

# A database without tables has no lines.
sorted() {
  touch "$1"
  LC_ALL=C sort "$1" >"$2"
}

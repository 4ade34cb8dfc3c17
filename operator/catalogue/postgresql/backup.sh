# What dumping and restoring have in common; both read it.
export PGCONNECT_TIMEOUT=5
folder=/backup

fail() {
  echo "$*" >&2
  exit 1
}
# Whoever is beside it in the pod must not wait for what does not come.
trap '(( $? == 0 )) || [[ ! -d $folder ]] || touch "$folder/failed"' EXIT

query() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"
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
  for attempt in $(seq 1 30); do
    if pg_isready --quiet; then return; fi
    echo "attempt $attempt: $PGHOST:$PGPORT does not accept connections yet"
    sleep 2
  done
}

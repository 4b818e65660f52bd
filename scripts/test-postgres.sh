#!/bin/sh
# Runs the store's suite on PostgreSQL as well as on SQLite, and several servers on one store: on a PostgreSQL of its own, which is
# gone when this ends.
# Further arguments go to the tests, such as a part of a test's name. DEW_TEST_POSTGRES_URL, if set, names the server instead.
set -eu
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
binaries() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }

run_suite() {
    cargo test --locked -p dewpoint-store --features postgres --test suite -- "$@"
    cargo test --locked -p dew --test servers -- "$@"
}

if [ -n "${DEW_TEST_POSTGRES_URL:-}" ]; then
    run_suite "$@"
    exit
fi

if [ -z "$(binaries)" ]; then
    echo "Installing PostgreSQL from the distribution" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >&2
fi
bin=$(binaries)

# PostgreSQL refuses to run as root: then it is the user whom the package made who runs it.
directory=$(mktemp -d "${TMPDIR:-/tmp}/dew-postgres.XXXXXX")
if [ "$(id -u)" = 0 ]; then
    chown postgres "$directory"
    as_owner() { (cd "$directory" && runuser -u postgres -- "$@"); }
else
    as_owner() { (cd "$directory" && "$@"); }
fi
clean_up() {
    as_owner "$bin/pg_ctl" -D "$directory/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A language whose order of words is not that of bytes, as most installations have, where this PostgreSQL can.
language=""
if "$bin/initdb" --help | grep -q -e --icu-locale; then
    language="--locale-provider=icu --icu-locale=en-US"
fi
# shellcheck disable=SC2086 # several words on purpose
as_owner "$bin/initdb" -D "$directory/data" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 $language >"$directory/log" 2>&1 ||
    { cat "$directory/log" >&2; exit 1; }
# Only on a socket in a directory that nobody else can enter. What is thrown away need not survive a power cut: no fsync.
as_owner "$bin/pg_ctl" -D "$directory/data" -l "$directory/data/log" -w start >/dev/null \
    -o "-c listen_addresses='' -c unix_socket_directories=$directory -c max_connections=200 -c fsync=off" ||
    { cat "$directory/data/log" >&2; exit 1; }

host=$(printf %s "$directory" | sed 's|/|%2F|g')
export DEW_TEST_POSTGRES_URL="postgresql://postgres@$host/postgres"
run_suite "$@"

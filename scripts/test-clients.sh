#!/bin/sh
# Runs the released clients of the public API against `dew serve --engine sim`: tests/clients.
#
# Takes nothing for granted but python3 and cargo: makes .venv, builds the server when there is none, starts five of it on
# free loopback ports over a temporary directory, and leaves nothing running and no file behind. Arguments go to pytest.
#
# DEW_BINARY names a server to test instead of the one in the target directory.
set -eu
cd "$(dirname "$0")/.."

venv=$(scripts/venv.sh)
DEW_BINARY=$(scripts/dew-binary.sh)
# Tests that kill their server start it themselves.
export DEW_BINARY

work=$(mktemp -d)
servers=
finish() {
    status=$?
    trap - EXIT
    for pid in $servers; do kill "$pid" 2>/dev/null || true; done
    for pid in $servers; do wait "$pid" || { echo "a server ended with $?, not 0" >&2; status=1; }; done
    [ "$status" = 0 ] || cat "$work"/*.log >&2
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What the caller has set for a server of its own is not for these.
unset DEW_CONFIG DEW_DATABASE_URL DEW_IMAGE_DIR DEW_LIMITS DEW_PUBLIC_URL DEW_STOCK DEW_TLS DEW_TLS_CERT DEW_TLS_KEY
unset SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
export DEW_TEST_TOKEN=dop_v1_a_token_for_tests_and_nothing_else

# start NAME FLAG... : a server over $work/NAME; sets $address once it answers.
start() {
    name=$1
    shift
    DEW_LOG=info DEW_BOOTSTRAP_TOKEN=$DEW_TEST_TOKEN "$DEW_BINARY" serve --listen 127.0.0.1:0 \
        --data-dir "$work/$name" --engine sim --fixtures docs "$@" 2>"$work/$name.log" &
    servers="$servers $!"
    address=$("$venv/bin/python" tests/clients/await_server.py "$work/$name.log" "$!" "$work/$name")
}
export DEW_TEST_UPSTREAM="$work/upstream.sock"
cat >"$work/names.toml" <<END
[dns]
listen = "127.0.0.1:0"
[[models]]
name = "by-socket"
upstreams = [{ url = "unix:$DEW_TEST_UPSTREAM" }]
check = false
END
start open --config "$work/names.toml"
export DEW_TEST_URL=$address
DEW_TEST_NAMES=$(sed -n 's/.*Telling names on \([0-9.:]*\),.*/\1/p' "$work/open.log")
export DEW_TEST_NAMES
start limited --limits digitalocean
export DEW_TEST_LIMITED_URL=$address
start steered
export DEW_TEST_SIMULATOR_URL=$address
start secure --tls
export DEW_TEST_TLS_URL=$address DEW_TEST_TLS_CERT="$work/secure/tls-cert.pem"
start hostile
export DEW_TEST_HOSTILE_URL=$address

PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -c tests/clients/pytest.ini tests/clients "$@"

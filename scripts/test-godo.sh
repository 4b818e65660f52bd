#!/bin/sh
# Runs godo itself against `dew serve --engine sim`: tests/godo. Needs npm, and Linux on x86-64 or ARM.
#
# godo is a Go library, and there is no Go here: the vendor's MCP server on npm has it built in, for each platform. It is installed
# into the target directory, without running anything of its package's, and is given a loopback address to talk to. Arguments go to
# pytest. DEW_BINARY names a server to test instead of the one in the target directory.
set -eu
cd "$(dirname "$0")/.."

version=1.0.70
case $(uname -m) in
    x86_64) platform=linux-amd64 ;;
    aarch64) platform=linux-arm64 ;;
    *) echo "test-godo: the package has no program for $(uname -m)" >&2; exit 1 ;;
esac
if ! command -v npm >/dev/null; then
    echo "test-godo: npm is not here, and the package is had by nothing else" >&2
    exit 1
fi
venv=$(scripts/venv.sh)
DEW_BINARY=$(scripts/dew-binary.sh)
place=${CARGO_TARGET_DIR:-$PWD/target}/godo-$version
DEW_TEST_GODO=$place/node_modules/@digitalocean/mcp/dist/mcp-digitalocean-$platform
export DEW_TEST_GODO
if [ ! -e "$DEW_TEST_GODO" ]; then
    mkdir -p "$place"
    npm install --prefix "$place" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error "@digitalocean/mcp@$version" >&2
fi
[ -x "$DEW_TEST_GODO" ] || chmod +x "$DEW_TEST_GODO"

work=$(mktemp -d)
server=
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || { echo "the server ended with $?, not 0" >&2; status=1; }
    fi
    [ "$status" = 0 ] || cat "$work/log" >&2
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unset DEW_CONFIG DEW_DATABASE_URL DEW_IMAGE_DIR DEW_LIMITS DEW_PUBLIC_URL DEW_STOCK DEW_TLS DEW_TLS_CERT DEW_TLS_KEY
export DEW_TEST_TOKEN=dop_v1_a_token_for_tests_and_nothing_else
DEW_LOG=info DEW_BOOTSTRAP_TOKEN=$DEW_TEST_TOKEN "$DEW_BINARY" serve --listen 127.0.0.1:0 --data-dir "$work/data" --engine sim \
    --fixtures docs 2>"$work/log" &
server=$!
DEW_TEST_URL=$("$venv/bin/python" tests/clients/await_server.py "$work/log" "$server" "$work/data")
export DEW_TEST_URL
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -c tests/clients/pytest.ini tests/godo "$@"

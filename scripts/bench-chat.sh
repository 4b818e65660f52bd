#!/usr/bin/env bash
# `make bench-chat`: what the gateway adds to a request for a model, and beside it LiteLLM's proxy, which is fetched from PyPI.
#
# DEW_BENCH_TURNS says how many turns (10). DEW_BENCH_ALONE=1 leaves the other proxy out.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
[ -n "${DEW_BENCH_BUILT:-}" ] || cargo build --release --locked -p dew -p dewpoint-chat-bench
bench=$target/release/dewpoint-chat-bench
arguments=(--binary "$target/release/dew" --turns "${DEW_BENCH_TURNS:-10}")
if [ "${DEW_BENCH_ALONE:-0}" = 1 ]; then
    exec "$bench" "${arguments[@]}"
fi

venv=$target/litellm/venv
if [ ! -x "$venv/bin/litellm" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'litellm[proxy]'
fi
stub_port=${DEW_BENCH_STUB_PORT:-18801}
other_port=${DEW_BENCH_OTHER_PORT:-18802}
cat >"$target/litellm/config.yaml" <<END
model_list:
  - model_name: stub
    litellm_params: { model: openai/stub, api_base: "http://127.0.0.1:$stub_port/v1", api_key: none }
general_settings: { master_key: sk-of-the-bench }
END
"$bench" --stub "127.0.0.1:$stub_port" &
stub=$!
"$venv/bin/litellm" --config "$target/litellm/config.yaml" --host 127.0.0.1 --port "$other_port" --telemetry False \
    >"$target/litellm/log" 2>&1 &
other=$!
trap 'kill $stub $other 2>/dev/null || true' EXIT
for _ in $(seq 240); do
    if curl -sf -o /dev/null "http://127.0.0.1:$other_port/health/liveliness"; then ready=1; break; fi
    kill -0 "$other" 2>/dev/null || { tail -5 "$target/litellm/log" >&2; exit 1; }
    sleep 0.5
done
[ "${ready:-0}" = 1 ] || { echo "LiteLLM's proxy did not start; see $target/litellm/log" >&2; exit 1; }
"$bench" "${arguments[@]}" --other "127.0.0.1:$other_port" "$("$venv/bin/pip" show litellm 2>/dev/null | sed -n 's/^Version: /litellm /p')"

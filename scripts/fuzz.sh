#!/bin/sh
# Fuzzes for TIME seconds each (60) the target TARGET of crates/fuzz, or every one in turn, guided by coverage.
#
# Needs a C++ compiler for libFuzzer. Inputs that reached something new, at most 4 KiB each and reduced to those that matter, go
# into the target's corpus; one that brought something wrong to light is left in target/fuzz-found and ends the run with 1.
set -eu
cd "$(dirname "$0")/.."

time=${TIME:-60}
built=${CARGO_TARGET_DIR:-$PWD/target}
# Only our own crates are watched: dependencies are those of every other debug build.
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/rustc-with-coverage.sh cargo build --locked -p dewpoint-fuzz --features libfuzzer --bin fuzz
program=$built/debug/fuzz

mkdir -p "$built/fuzz-found"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=
for target in ${TARGET:-$(ls crates/fuzz/corpus)}; do
    corpus=crates/fuzz/corpus/$target
    mkdir -p "$work/$target/new" "$work/$target/least"
    echo "Fuzzing $target for $time s" >&2
    export DEW_FUZZ_TARGET="$target"
    "$program" -max_total_time="$time" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -use_value_profile=1 \
        -artifact_prefix="$built/fuzz-found/$target-" "$work/$target/new" "$corpus" 2>"$work/$target/log" || failed="$failed $target"
    grep -E 'DONE|number_of_executed_units|average_exec_per_sec|peak_rss_mb|panicked|ERROR|Test unit written' "$work/$target/log" >&2 || true
    # What the old ones reach already is not kept a second time; the old ones stay.
    "$program" -merge=1 -max_len=4096 "$work/$target/least" "$corpus" "$work/$target/new" 2>/dev/null || true
    for found in "$work/$target/least"/*; do
        [ -e "$found" ] || continue
        name=$(basename "$found")
        cmp -s "$found" "$corpus/$name" && continue
        # An input kept under a name people gave it is there already.
        same=$(find "$corpus" -type f -size "$(stat -c %s "$found")c" -exec cmp -s {} "$found" \; -print | head -n 1)
        [ -n "$same" ] || cp "$found" "$corpus/$name"
    done
    echo "$target: $(ls "$corpus" | wc -l) inputs, $(du -sb "$corpus" | cut -f 1) bytes" >&2
done
[ -z "$failed" ] || { echo "Something wrong was found by:$failed; see $built/fuzz-found" >&2; exit 1; }

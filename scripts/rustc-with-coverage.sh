#!/bin/sh
# Stands before rustc (RUSTC_WORKSPACE_WRAPPER) and has it count which branches are taken, as libFuzzer wants it. The pass is LLVM's
# own, so a stable compiler will do. Build scripts and macros run without libFuzzer: they stay as they are.
case " $* " in
*" --crate-name build_script_build "* | *" --crate-type proc-macro "*) exec "$@" ;;
esac
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares

#!/usr/bin/env bash
# A compiler wrapper (RUSTC_WORKSPACE_WRAPPER): puts coverage counters into the crates of the
# workspace, by flags of the stable compiler. Build scripts and the fuzz program itself, which holds
# what the counters report to, stay as they are.
set -euo pipefail

name=
previous=
for argument in "$@"; do
    [ "$previous" = --crate-name ] && name=$argument
    previous=$argument
done
case $name in
"" | ___ | fuzz | build_script_*) exec "$@" ;;
esac
exec "$@" -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-trace-compares

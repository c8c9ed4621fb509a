#!/usr/bin/env bash
# Fuzzes the decoders of network bytes.
#   scripts/fuzz.sh list
#   scripts/fuzz.sh TARGET|all SECONDS      coverage guided; finds and their corpus in target/fuzz
#   scripts/fuzz.sh --ci                    all of them, a minute each; less where that exceeds
#                                           PAGI_FUZZ_BUDGET seconds (900) on this machine's cores
# PAGI_FUZZ_JOBS targets run at a time (default: one per core). Exit code 1 where something was found.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n 2,7p "scripts/fuzz.sh" | cut -c3- >&2
    exit 2
}

jobs=${PAGI_FUZZ_JOBS:-$(nproc)}
build() {
    # Counters where the compiler can make them; the program says so in its report.
    if ! RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz/instrument.sh \
        cargo build --quiet --package pagi-fuzz --bin fuzz; then
        echo "no coverage counters with this compiler: going on without" >&2
        cargo build --quiet --package pagi-fuzz --bin fuzz
    fi
    work=${CARGO_TARGET_DIR:-target}/fuzz
    mkdir -p "$work"
    cp "${CARGO_TARGET_DIR:-target}/debug/fuzz" "$work/fuzz"
    fuzz=$work/fuzz
}

one() { # target, seconds
    mkdir -p "$work/corpus"
    TMPDIR=$work "$fuzz" "$1" "$2" "$work/corpus/$1" && return
    echo "found: $1" >>"$work/failed"
    return 0
}

all() { # seconds
    rm -f "$work/failed"
    export work fuzz
    export -f one
    "$fuzz" list | cut -d' ' -f1 | xargs -P "$jobs" -I{} bash -c "one {} $1"
    if [ -s "$work/failed" ]; then
        cat "$work/failed" >&2
        exit 1
    fi
}

case ${1:-} in
list)
    build
    "$fuzz" list
    ;;
--ci)
    build
    count=$("$fuzz" list | wc -l)
    each=$((${PAGI_FUZZ_BUDGET:-900} * jobs / count))
    all $((each < 60 ? each : 60))
    ;;
all)
    [ $# = 2 ] || usage
    build
    all "$2"
    ;;
"" | -*) usage ;;
*)
    [ $# = 2 ] || usage
    build
    rm -f "$work/failed"
    one "$1" "$2"
    [ ! -s "$work/failed" ]
    ;;
esac

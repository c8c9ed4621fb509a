#!/usr/bin/env bash
# Measures private messages: see bench_messages.py. Wants python3 with venv and a package index: see
# interop/didcomm_env.sh.
#
#     scripts/bench_messages.sh [path to pagi]
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/interop/didcomm_env.sh
cargo build --quiet --package pagi-didcomm --example envelope
bench=${BENCH:-$(cargo bench --quiet --package pagi-didcomm --bench envelope --no-run --message-format json |
    "$python" -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("target", {}).get("name") == "envelope" and built.get("executable"):
        print(built["executable"])' | tail -1)}
PYTHONPATH=scripts "$env/bin/python" scripts/bench_messages.py "${1:-target/release/pagi}" \
    "${CARGO_TARGET_DIR:-target}/debug/examples/envelope" "$bench"

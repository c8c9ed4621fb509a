#!/usr/bin/env bash
# Measures private messages: see bench_messages.py. Wants python3 with venv and a package index; the
# environment is the one of interop/didcomm.sh.
#
#     scripts/bench_messages.sh [path to pagi]
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
env=target/interop/didcomm-0.3.2
if ! "$env/bin/python" -c 'import didcomm' 2>/dev/null; then
    rm -rf "$env"
    "$python" -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check \
        'didcomm==0.3.2' 'Authlib==1.3.2' 'cryptography>=42'
fi
cargo build --quiet --package pagi-didcomm --example envelope
bench=${BENCH:-$(cargo bench --quiet --package pagi-didcomm --bench envelope --no-run --message-format json |
    "$python" -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("target", {}).get("name") == "envelope" and built.get("executable"):
        print(built["executable"])' | tail -1)}
PYTHONPATH=scripts "$env/bin/python" scripts/bench_messages.py "${1:-target/release/pagi}" \
    "${CARGO_TARGET_DIR:-target}/debug/examples/envelope" "$bench"

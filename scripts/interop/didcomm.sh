#!/usr/bin/env bash
# Crosses DIDComm messages with the Python library `didcomm` 0.3.2, both ways. Wants python3 with venv and
# a package index; the environment is kept in target/interop.
set -euo pipefail
cd "$(dirname "$0")/../.."

. scripts/interop/didcomm_env.sh

cargo build --quiet --package pagi-didcomm --example envelope
"$env/bin/python" scripts/interop/didcomm_python.py "${CARGO_TARGET_DIR:-target}/debug/examples/envelope"

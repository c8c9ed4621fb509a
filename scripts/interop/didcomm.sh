#!/usr/bin/env bash
# Crosses DIDComm messages with the Python library `didcomm` 0.3.2, both ways. Wants python3 with venv and
# a package index; the environment is kept in target/interop.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
env=target/interop/didcomm-0.3.2
if ! "$env/bin/python" -c 'import didcomm' 2>/dev/null; then
    rm -rf "$env"
    "$python" -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check \
        'didcomm==0.3.2' 'Authlib==1.3.2' 'cryptography>=42'
fi

cargo build --quiet --package pagi-didcomm --example envelope
"$env/bin/python" scripts/interop/didcomm_python.py "${CARGO_TARGET_DIR:-target}/debug/examples/envelope"

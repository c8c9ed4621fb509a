#!/usr/bin/env bash
# Crosses credentials, both ways: with @digitalbazaar/vc and its suites for eddsa-rdfc-2022 and
# Ed25519Signature2020, offline; with eddsa-jcs-2022 made from Python packages; and runs ours through
# the JavaScript JSON-LD processor. Wants python3 with venv, node with npm, and their package indexes; the
# environments are kept in target/interop.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
env=target/interop/credentials
if ! "$env/bin/python" -c 'import rfc8785, base58, cryptography' 2>/dev/null; then
    rm -rf "$env"
    "$python" -m venv "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check \
        'rfc8785==0.1.4' 'base58==2.1.1' 'cryptography>=42'
fi
modules=target/interop/jsonld
if [ ! -d "$modules/node_modules/jsonld" ]; then
    mkdir -p "$modules"
    npm install --prefix "$modules" --silent --no-audit --no-fund \
        jsonld@9.0.0 @digitalcredentials/credentials-v2-context@1.0.0
fi
bazaar=target/interop/vc
if [ ! -d "$bazaar/node_modules/@digitalbazaar/vc" ]; then
    mkdir -p "$bazaar"
    npm install --prefix "$bazaar" --silent --no-audit --no-fund \
        @digitalbazaar/vc@7.3.0 @digitalbazaar/data-integrity@2.5.0 \
        @digitalbazaar/eddsa-rdfc-2022-cryptosuite@1.3.0 @digitalbazaar/ed25519-multikey@1.3.1 \
        @digitalbazaar/ed25519-signature-2020@5.4.0 @digitalbazaar/vc-bitstring-status-list@2.0.1 \
        @digitalcredentials/credentials-v2-context@1.0.0
fi

cargo build --quiet --package pagi-credentials --example credential
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
"$env/bin/python" scripts/interop/credentials_python.py \
    "${CARGO_TARGET_DIR:-target}/debug/examples/credential" "$scratch/credential.json"
cp scripts/interop/credentials.mjs "$modules/credentials.mjs"
node "$modules/credentials.mjs" <"$scratch/credential.json"
cp scripts/interop/credentials_bazaar.mjs "$bazaar/credentials_bazaar.mjs"
node "$bazaar/credentials_bazaar.mjs" \
    "${CARGO_TARGET_DIR:-target}/debug/examples/credential" "$scratch"

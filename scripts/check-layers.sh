#!/usr/bin/env bash
# The rooms' one-way dependencies: no network in the mind and the hive, libp2p in node/swarm alone.
set -euo pipefail
cd "$(dirname "$0")/.."

fail=0
without() { # package, crates that must not be in its tree
    local package=$1
    shift
    local tree
    tree=$(cargo tree --package "$package" --edges normal,build --prefix none --format '{p}')
    for crate in "$@"; do
        if grep -q "^$crate v" <<<"$tree"; then
            echo "$package depends on $crate, which it must not" >&2
            fail=1
        fi
    done
}

for pure in pagi-messages pagi-playbook pagi-election pagi-policy pagi-didcomm pagi-credentials pagi-mailbox pagi-reputation pagi-task pagi-sync; do
    without "$pure" tokio redb libp2p rust-ipfs wasmtime axum
done
without pagi-store libp2p rust-ipfs wasmtime axum
without pagi-twin libp2p rust-ipfs wasmtime axum
without pagi-hive libp2p rust-ipfs wasmtime axum
without pagi-work libp2p rust-ipfs wasmtime axum pagi-twin pagi-hive pagi-swarm pagi-plugin-host
without pagi-control libp2p rust-ipfs wasmtime redb
without pagi-plugin-host libp2p rust-ipfs redb axum

users=$(cargo tree --workspace --edges normal --depth 1 --prefix none --format '{p}' --invert rust-ipfs |
    grep -oE '^pagi[a-z-]* ' | sort -u | tr -d ' ' | tr '\n' ' ')
if [ "$users" != "pagi-swarm " ]; then
    echo "rust-ipfs is used by: $users; only pagi-swarm may" >&2
    fail=1
fi
[ "$fail" = 0 ] && echo "every layer keeps to its dependencies"
exit "$fail"

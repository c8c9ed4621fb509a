#!/usr/bin/env bash
# Networks that loopback cannot show: routers with address translation, a local network with
# multicast, loss and delay, a partition. All of it lives in network namespaces inside a namespace of
# its own, so nothing leaves this machine, nothing of it is changed, and all is gone at the end.
#
#   scripts/interop/netns/run.sh [relay|punch|cut|lans|lans_relayed|mdns|loss|partition]...
#
# The first three run the network room alone, by its example program; the others run `pagi`. Default:
# all. Each ends with one line; those of `pagi` must end in one swarm: every node knows the same twins
# and has the same playbook head and Master Orchestrator.
# Needs root, iproute2, nftables, jq, python3; says SKIP and succeeds where something is missing.
# PAGI and REACH name the binaries when they are not to be built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

skip() {
  echo "SKIP: $1"
  exit 0
}

if [ -z "${PAGI_NETNS_INSIDE:-}" ]; then
  [ "$(id -u)" = 0 ] || skip "network namespaces need root"
  for tool in ip nft jq python3 unshare mount; do
    command -v "$tool" >/dev/null || skip "$tool is missing (Debian: iproute2 nftables jq python3 util-linux)"
  done
  unshare --net --mount true 2>/dev/null || skip "this machine allows no network namespaces"
  target=${CARGO_TARGET_DIR:-$root/target}
  if [ -z "${PAGI:-}" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p pagi
    PAGI=$target/debug/pagi
  fi
  case " ${*:-relay} " in
    *" relay "* | *" punch "* | *" cut "*) example=yes ;;
    *) example= REACH=${REACH:-none} ;;
  esac
  if [ -z "${REACH:-}" ] && [ "$example" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p pagi-swarm --example reach
    REACH=$target/debug/examples/reach
  fi
  export PAGI REACH PAGI_NETNS_INSIDE=1
  exec unshare --net --mount --pid --fork --mount-proc --kill-child "$0" "$@"
fi

mkdir -p /run/netns
mount -t tmpfs none /run/netns
ip link set lo up
. "$here/lib.sh"
. "$here/scenarios.sh"

[ $# -gt 0 ] || set -- relay punch cut lans lans_relayed mdns loss partition
failed=0
for name in "$@"; do
  echo "== $name"
  started=$SECONDS
  summary=$(mktemp)
  # Not as the condition of an `if`: there, a failing command would not end the subshell.
  set +e
  (
    set -euo pipefail
    work=$(mktemp -d)
    trap 'finish' EXIT
    "scenario_$name"
  )
  status=$?
  set -e
  if [ "$status" = 0 ] && grep -q '^SKIP' "$summary"; then
    echo "skip $name$(sed 's/^SKIP//' "$summary")"
  elif [ "$status" = 0 ]; then
    echo "ok   $name in $((SECONDS - started)) s$(sed 's/^/: /' "$summary")"
  else
    echo "FAIL $name after $((SECONDS - started)) s"
    failed=$((failed + 1))
  fi
  rm -f "$summary"
done
[ "$failed" = 0 ] || exit 1

#!/usr/bin/env bash
# Honest nodes under attack, the long version of node/swarm/tests/it/hostile.rs: 30 % attackers, 1,000
# identities from one address, every attack at once. Prints one JSON document (see
# node/swarm/examples/hostile.rs); ends with 1 where less than 99 % of the honest messages arrived.
#
#   scripts/hostile.sh [--seconds 60] [--honest 7] [--attackers 3] [--attacks spam,forged,…]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet -p pagi-swarm --example hostile
result=$(target/debug/examples/hostile "$@")
echo "$result"
python3 - "$result" <<'PY'
import json, sys

result = json.loads(sys.argv[1])
print(f"delivered {result['delivery']:.2%} with {result['attackers']} attackers"
      f" beside {result['honest']} honest nodes", file=sys.stderr)
sys.exit(0 if result["delivery"] >= 0.99 and result["honest_banned"] == 0 else 1)
PY

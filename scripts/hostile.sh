#!/usr/bin/env bash
# Honest nodes under attack, the long version of node/swarm/tests/it/hostile.rs: 30 % attackers, 1,000
# identities from one address. Runs every attack at once, or with --each one by one and then all at
# once; prints a JSON document for each run (see node/swarm/examples/hostile) and at last a table. Ends
# with 1 where less than 99 % of the honest messages arrived or an honest node was banned.
#
#   scripts/hostile.sh [--each] [--seconds 60] [--honest 7] [--attackers 3] [--attacks spam,forged,…]
#       [--spam 10000]
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${HOSTILE:-}" ] || cargo build --quiet -p pagi-swarm --example hostile
exec python3 - "${HOSTILE:-target/debug/examples/hostile}" "$@" <<'PY'
import json, subprocess, sys

program, *options = sys.argv[1:]
runs = [[]]
if "--each" in options:
    options.remove("--each")
    kinds = "unsigned forged replayed stolen oversize malformed spam topics requests slow dht"
    runs = [["--attacks", kind] for kind in f"{kinds} identities wants".split()] + [[]]
rows, bad = [], False
for run in runs:
    result = json.loads(subprocess.check_output([program, *options, *run]))
    print(json.dumps(result), flush=True)
    offered = (result["work"]["offered"] or {}).values()
    sent = sum(kind["sent"] for kind in offered)
    most = max((kind["most_in_a_second"] for kind in offered), default=0)
    lookups, requests = result["work"]["lookups"], result["work"]["requests"]
    memory = result["memory_mib"]
    cells = [", ".join(result["attacks"]) if len(result["attacks"]) < 4 else "all at once"]
    cells += [f"{sent:,}", f"{most:,}", f"{result['delivery']:.2%}"]
    cells += [f"{requests['made'] - requests['failed']} of {requests['made']}"]
    cells += [f"{lookups['right']} of {sum(lookups.values())}"]
    cells += [f"{memory['before']}, {memory['most']}", result["counted"]["bans"]]
    cells += [result["honest_banned"]]
    rows.append(cells)
    bad |= result["delivery"] < 0.99 or result["honest_banned"] > 0 or lookups["wrong"] > 0
head = ["attack", "sent", "most in a second", "delivered", "answered", "found", "MiB before, most"]
head += ["bans", "honest banned"]
for row in [head, ["---"] * len(head), *rows]:
    print("| " + " | ".join(map(str, row)) + " |", file=sys.stderr)
sys.exit(bad)
PY

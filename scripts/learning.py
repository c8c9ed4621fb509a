#!/usr/bin/env python3
"""What a swarm learns: success on goals nobody worked on, before and after it worked on others.

    cargo build -p pagi && python3 scripts/learning.py --pagi target/debug/pagi [--json] [--split N]

Sixty goals over twelve tools (`learning/tasks.jsonl`; two tools are built in, one is the WASM plugin
`text_stats`, nine are HTTP tools served here from `learning/tools.json`). A hash of goal and split
number holds one half out. Six nodes form a swarm; five of them work through the other half in turns,
the sixth does nothing. No model is asked: the planner is the engine.

Success is the same before and after: the goal is completed, the tool of the task was called, and the
answer contains what the task expects. It is measured with a new twin for every goal, and where
`[hive] review = "manual"` keeps the playbook as it is: before on a node of its own, after on all six.
No node is ever told what a task expects; that none of it, nor any name in a held-out goal, is in what
the swarm shares, is checked at the end. Python's standard library only.
"""

import argparse
import hashlib
import http.server
import json
import pathlib
import re
import sys
import threading
import time

from swarm_nodes import Swarm, program

HERE = pathlib.Path(__file__).resolve().parent
WORKERS = 5
MANUAL = '[hive]\nreview = "manual"\n'


def serve(tools):
    """The HTTP tools: each looks for a known name in the query. Returns the server."""
    tables = {f"/{tool['name']}": tool["answers"] for tool in tools}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"].lower()
            found = [row for name, row in tables[self.path].items() if name in query]
            body = json.dumps({"results": found}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def equip(node, tools, url):
    """Gives a node the tools it does not have; what was registered stays over restarts."""
    have = {tool["name"] for tool in node.get("/tools")}
    for tool in tools:
        if tool["name"] in have:
            continue
        parameters = {"type": "object", "required": ["query"],
                      "properties": {"query": {"type": "string"}}}
        definition = {"name": tool["name"], "description": tool["description"], "plugin_url": url,
                      "endpoint": f"/{tool['name']}", "parameters": parameters,
                      "read_only": True, "idempotent": True}
        node.post("/register_tool", {"tool": definition})
    if "text_stats" not in have:
        node.post("/plugins", {"path": str(HERE.parent / "plugins/text_stats")})


def twin(node):
    """A new twin that may call every tool of the suite."""
    twin_id = node.post("/twins", {})["twin_id"]
    node.post(f"/tools/{twin_id}/allow", {"name": "text_stats", "allowed": True})
    return twin_id


def tool_of(task):
    return task["tools"][0]


def halves(tasks, split):
    """(worked on, held out): of each tool's goals 2 or 3 are held out, those a hash says."""
    key = lambda task: hashlib.sha256(f"{split} {task['goal']}".encode()).digest()
    worked, held = [], []
    for at, tool in enumerate(sorted({tool_of(task) for task in tasks})):
        own = sorted((task for task in tasks if tool_of(task) == tool), key=key)
        cut = len(own) // 2 + (at + split) % 2 * (len(own) % 2)
        held += own[:cut]
        worked += own[cut:]
    return sorted(worked, key=key), sorted(held, key=key)


def run(node, twin_id, task):
    """One goal; whether it was reached, answered wrongly, and with how many calls."""
    done = node.post(f"/interact/{twin_id}", {"goal": task["goal"]}, timeout=120)
    called = [step["name"] for step in done["steps"] if step["kind"] == "tool"]
    completed = done["status"] == "completed"
    right = (completed and all(tool in called for tool in task["tools"])
             and task["expect"].lower() in done["output"].lower())
    calls = len([name for name in called if name != "recall"])
    return {"goal": task["goal"], "right": right, "wrong": completed and not right, "calls": calls,
            "followed": done.get("case") is not None, "artifact": done.get("artifact_cid"),
            "output": done["output"]}


def measure(node, tasks):
    """The tasks on a node whose playbook stays as it is."""
    head = node.get("/playbook")["head"]
    results = [run(node, twin(node), task) for task in tasks]
    if node.get("/playbook")["head"] != head:
        raise SystemExit(f"{node.name}: the playbook changed while it was measured")
    right = [one for one in results if one["right"]]
    return {"node": node.name, "tasks": len(results), "right": len(right),
            "first_call": len([one for one in right if one["calls"] == 1]),
            "wrong": len([one for one in results if one["wrong"]]),
            "calls": sum(one["calls"] for one in results),
            "followed": len([one for one in results if one["followed"]]),
            "goals": {one["goal"]: one["right"] for one in results}, "results": results}


def settle(swarm, cids, seconds=120):
    """Waits until every artifact is judged and all nodes have one head."""
    begin = time.perf_counter()
    while True:
        head, problem = swarm.one_head()
        if problem is None:
            for node, cid in cids:
                if node.get(f"/artifacts/{cid}")["status"] not in ("merged", "rejected"):
                    problem = f"{node.name}: {cid} is not judged"
        if problem is None:
            return head
        if time.perf_counter() - begin > seconds:
            raise SystemExit(f"not settled after {seconds} s: {problem}")
        time.sleep(0.1)


def work(swarm, workers, tasks):
    """Each goal once, in turns, every lesson adopted before the next goal. Returns the shares."""
    shares = {node.name: {"goals": 0, "right": 0, "artifacts": 0, "merged": 0} for node in workers}
    cids = []
    for at, task in enumerate(tasks):
        node = workers[at % len(workers)]
        done, share = run(node, node.twin_id, task), shares[node.name]
        share["goals"] += 1
        share["right"] += done["right"]
        if done["artifact"]:
            cids.append((node, done["artifact"]))
            share["artifacts"] += 1
            settle(swarm, cids[-1:])
    settle(swarm, cids)
    for node, cid in cids:
        shares[node.name]["merged"] += node.get(f"/artifacts/{cid}")["status"] == "merged"
    return shares


def names(task):
    """What a goal holds that is somebody's own: quoted texts, numbers, capitalised names."""
    goal = task["goal"]
    found = re.findall(r'"([^"]+)"', goal) + re.findall(r"\d{3,}", goal)
    return found + re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", goal)


def leaks(nodes, worked, held):
    """Expectations and names that are in what the swarm shares, and how many were looked for."""
    shared = ""
    for node in nodes:
        for artifact in node.get("/artifacts"):
            shared += json.dumps(node.get(f"/artifacts/{artifact['cid']}"))
        shared += json.dumps(node.get("/playbook")["document"].get("learned", {}))
    shared = shared.lower()
    if '"terms"' not in shared:
        raise SystemExit("nothing was learned: there is nothing to look for leaks in")
    # CIDs, DIDs and signatures are long runs of letters and digits in which short ones occur by chance.
    shared = re.sub(r"[a-z0-9:]{40,}", " ", shared)
    # What every node knows anyway is no secret: the words of the tools' own descriptions.
    public = json.dumps(nodes[0].get("/tools")).lower()
    looked, found = set(), set()
    for task in held + worked:
        for secret in names(task) + ([task["expect"]] if task in held else []):
            # A short number stands in counts and times by chance.
            if secret.lower() in public or len(secret) < 4:
                continue
            looked.add(secret)
            if re.search(rf"(?<![a-z0-9.]){re.escape(secret.lower())}(?![a-z0-9])", shared):
                found.add(secret)
    return sorted(found), len(looked)


def show(report):
    print(f"\nsplit {report['split']}: {report['worked']} goals worked on, {report['held_out']} held out")
    print("\n| node | goals worked on | reached | lessons | merged |\n|---|---|---|---|---|")
    for name, share in report["shares"].items():
        print(f"| {name} | {share['goals']} | {share['right']} | {share['artifacts']} | {share['merged']} |")
    print("\n| held-out goals | reached | with the first call | wrongly answered | calls in all |")
    print("|---|---|---|---|---|")
    for label, one in [("before", report["before"])] + [
            (f"after, {one['node']}" + (" (did none of the work)" if one["idle"] else ""), one)
            for one in report["after"]]:
        print(f"| {label} | {one['right']} of {one['tasks']} | {one['first_call']} | {one['wrong']} | {one['calls']} |")
    print(f"\nof {report['looked_for']} expectations and names, {len(report['leaks'])} are in what is shared")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--split", type=int, default=1, help="which half is held out")
    parser.add_argument("--rounds", type=int, default=1, help="how often each goal is worked on")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--goals", action="store_true", help="say what became of each held-out goal")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data and logs")
    parser.add_argument("--pagi", help="the program; default: PAGI or the release build")
    options = parser.parse_args()
    tools = json.loads((HERE / "learning/tools.json").read_text())
    lines = (HERE / "learning/tasks.jsonl").read_text().splitlines()
    tasks = [json.loads(line) for line in lines if line and not line.startswith("#")]
    worked, held = halves(tasks, options.split)
    server = serve(tools)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    binary = program(options.pagi)

    with Swarm(binary, 1) as alone:
        alone.keep = options.keep
        (node,) = alone.nodes
        (node.folder / "config.toml").write_text(MANUAL)
        alone.start()
        equip(node, tools, url)
        before = measure(node, held)

    with Swarm(binary, WORKERS + 1) as swarm:
        swarm.keep = options.keep
        swarm.start()
        for node in swarm.nodes:
            equip(node, tools, url)
            node.post(f"/tools/{node.twin_id}/allow", {"name": "text_stats", "allowed": True})
        swarm.wait_for_union(60)
        workers, idle = swarm.nodes[:WORKERS], swarm.nodes[WORKERS]
        begin = time.perf_counter()
        shares = work(swarm, workers, worked * options.rounds)
        took = time.perf_counter() - begin
        found, looked = leaks(swarm.nodes, worked, held)
        for node in swarm.nodes:
            node.process.terminate()
            node.process.wait(timeout=30)
            (node.folder / "config.toml").write_text(MANUAL)
        swarm.restart(swarm.nodes)
        swarm.wait_for_union(60)
        after = [measure(node, held) | {"idle": node is idle} for node in swarm.nodes]

    report = {"split": options.split, "rounds": options.rounds, "worked": len(worked), "held_out": len(held), "work_s": round(took, 1),
              "shares": shares, "before": before, "after": after, "leaks": found, "looked_for": looked}
    if options.json:
        print(json.dumps(report))
    else:
        show(report)
    if options.goals:
        for was, now in zip(before["results"], after[-1]["results"]):
            state = lambda one: "right" if one["right"] else "WRONG" if one["wrong"] else "none"
            print(f"{state(was):5} {was['calls']} -> {state(now):5} {now['calls']}"
                  f"{' case' if now['followed'] else ''}  {was['goal']}  [{now['output'][:90]!r}]", file=sys.stderr)
    if found:
        raise SystemExit(f"shared though it is private: {', '.join(found)}")


main()

#!/usr/bin/env python3
"""Kills the Master Orchestrator of a swarm of real processes again and again, and reports the times.

    cargo build -p pagi && python3 scripts/mo-kills.py [path to pagi] [nodes] [kills]

After each SIGKILL all other nodes must follow one new MO; the killed node is started again and must
follow it too. Between kills a lesson is taught and must reach every node. Python's standard library only.
"""

import http.client
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

PAGI = sys.argv[1] if len(sys.argv) > 1 else "target/debug/pagi"
NODES = int(sys.argv[2]) if len(sys.argv) > 2 else 7
KILLS = int(sys.argv[3]) if len(sys.argv) > 3 else 20
PATIENCE_S = 60


class Node:
    """A node process on loopback."""

    def __init__(self, folder, peers):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        command = [PAGI, "run", "--json", "--no-mdns", "--data-dir", str(folder)]
        command += ["--listen", "/ip4/127.0.0.1/tcp/0", "--control", "127.0.0.1:0"]
        for peer in peers:
            command += ["--bootstrap", peer.ready["listen"][0]]
        log = open(self.folder / "log.txt", "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a node ended: {(self.folder / 'log.txt').read_text()[-2000:]}")
        self.ready = json.loads(line)
        token = (self.folder / "token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.ready["control"].removeprefix("http://"), timeout=30)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, self.headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        if response.status == 404:
            return {}
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {text!r}")
        return json.loads(text)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(timeout=30)


def until(what, look):
    start = time.perf_counter()
    while True:
        seen, good = look()
        if good:
            return time.perf_counter() - start, seen
        if time.perf_counter() - start > PATIENCE_S:
            raise SystemExit(f"waited in vain for {what}: {seen}")
        time.sleep(0.05)


def one_mo(nodes, unlike=None):
    """All nodes follow one of them; not `unlike`."""

    def look():
        seen = [node.call("GET", "/mo") for node in nodes]
        dids = {answer["mo"] for answer in seen}
        (did,) = dids if len(dids) == 1 else (None,)
        here = any(node.ready["did"] == did for node in nodes)
        return sorted(map(str, dids)), here and did != unlike

    took, seen = until("one MO", look)
    return took, seen[0]


def same_head(nodes, artifact):
    def look():
        seen = [node.call("GET", "/playbook") for node in nodes]
        heads = {answer["head"] for answer in seen}
        if len(heads) != 1:
            return heads, False
        states = [node.call("GET", f"/artifacts/{artifact}").get("status") for node in nodes]
        return (heads, states), all(state == "merged" for state in states)

    return until("one head", look)[0]


def main():
    with tempfile.TemporaryDirectory() as root:
        folders = [pathlib.Path(root) / str(n) for n in range(NODES)]
        nodes = [Node(folders[0], [])]
        try:
            for folder in folders[1:]:
                nodes.append(Node(folder, nodes[:2]))
            took, mo = one_mo(nodes)
            print(f"{NODES} nodes follow one MO after {took:.2f} s")
            replaced, back, merged = [], [], []
            for kill in range(1, KILLS + 1):
                at = next(n for n, node in enumerate(nodes) if node.ready["did"] == mo)
                nodes[at].end(signal.SIGKILL)
                left = nodes[:at] + nodes[at + 1 :]
                took, new = one_mo(left, unlike=mo)
                replaced.append(took)
                nodes[at] = Node(folders[at], left[:2])
                back.append(one_mo(nodes)[0])
                mo = one_mo(nodes)[1]
                worker = left[kill % len(left)]
                twin = worker.call("POST", "/twins", {})["twin_id"]
                delta = {"counts": [{"target": "tool:calculator", "helpful": 1, "harmful": 0}]}
                body = {"parameters": {"twin_id": twin, "critique": f"kill {kill} survived", "delta": delta}}
                cid = worker.call("POST", "/execute/hive_push", body)["result"]["cid"]
                merged.append(same_head(nodes, cid))
                print(
                    f"kill {kill}: a new MO on all others after {replaced[-1]:.2f} s, "
                    f"on the killed one after {back[-1]:.2f} s, a lesson on all after {merged[-1]:.2f} s",
                    flush=True,
                )

            def line(name, values):
                ordered = sorted(values)
                p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
                print(f"| {name} | {ordered[len(ordered) // 2]:.2f} s | {p99:.2f} s | {ordered[-1]:.2f} s |")

            print(f"\n| {NODES} nodes, {KILLS} kills | p50 | p99 | longest |\n|---|---|---|---|")
            line("new MO on all others", replaced)
            line("killed node back under it", back)
            line("a lesson merged and on all", merged)
            valid = [node.call("GET", "/playbook/verify")["valid"] for node in nodes]
            print(f"history valid on {sum(valid)} of {len(nodes)} nodes")
        finally:
            for node in nodes:
                if node.process.poll() is None:
                    node.end(signal.SIGKILL)


main()

#!/usr/bin/env python3
"""One node sends at full speed while some of those that listen are slow: is anything lost?

    cargo build -p pagi && python3 scripts/bench_burst.py [--pagi target/debug/pagi] [--seconds 60]
        [--receivers 4] [--slow 2] [--stop 4] [--period 10] [--threads 8] [--json]

Node processes on loopback. The sender broadcasts tasks through its control API from several threads.
Each slow receiver is stopped (SIGSTOP) for `--stop` of every `--period` seconds. Then all run on, and
it is waited until each receiver has every acknowledged message in its event log, or nothing more
comes. Prints what was sent, acknowledged, received by gossip and by sync, and dropped, and whether the
sender kept its mesh. Ends with 1 when something acknowledged is missing. Python's standard library
only.
"""

import argparse
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Node:
    def __init__(self, pagi, folder, bootstrap=None):
        command = [pagi, "run", "--json", "--no-mdns", "--data-dir", str(folder)]
        command += ["--listen", "/ip4/127.0.0.1/tcp/0", "--control", "127.0.0.1:0"]
        if bootstrap:
            command += ["--bootstrap", bootstrap]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=open(f"{folder}.log", "w")
        )
        self.ready = json.loads(self.process.stdout.readline())
        self.address = self.ready["control"].removeprefix("http://")
        token = (pathlib.Path(folder) / "token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.seen = set()
        self.after = 0
        self.stopped_s = 0.0

    def connection(self):
        return http.client.HTTPConnection(self.address, timeout=60)

    def call(self, connection, method, path, body=None):
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, self.headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None

    def stats(self):
        return self.call(self.connection(), "GET", "/swarm")[1]["stats"]

    def read_log(self, connection):
        """Takes in the task broadcasts of the event log; says how many events there were."""
        path = f"/events/log?after={self.after}&limit=1000"
        _, events = self.call(connection, "GET", path)
        events = events["events"]
        for event in events:
            self.after = max(self.after, event["seq"])
            if event["event_type"] == "task_broadcast":
                self.seen.add(event["payload"]["task"].get("id"))
        return len(events)

    def signal(self, which):
        os.kill(self.process.pid, which)

    def rss_mib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pagi", default="target/debug/pagi")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, help="so many messages instead of so many seconds")
    parser.add_argument("--receivers", type=int, default=4)
    parser.add_argument("--slow", type=int, default=2)
    parser.add_argument("--stop", type=float, default=4)
    parser.add_argument("--period", type=float, default=10)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--wait", type=float, default=240)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    nodes = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            return run(options, pathlib.Path(folder), nodes)
        finally:
            for node in nodes:
                node.signal(signal.SIGCONT)
                node.signal(signal.SIGTERM)
            for node in nodes:
                node.process.wait(30)


def run(options, folder, nodes):
    say = lambda *words: print(*words, file=sys.stderr, flush=True)
    sender = Node(options.pagi, folder / "sender")
    nodes.append(sender)
    for n in range(options.receivers):
        nodes.append(Node(options.pagi, folder / f"receiver{n}", sender.ready["listen"][0]))
    receivers = nodes[1:]
    slow = receivers[: options.slow]
    deadline = time.time() + 60
    while any(node.stats()["connected"] < options.receivers for node in nodes):
        if time.time() > deadline:
            raise SystemExit("the nodes did not find each other in a minute")
        time.sleep(0.2)
    say(f"{len(nodes)} nodes, {len(slow)} of them slow; sending")

    over = threading.Event()
    acknowledged, failed, latency = [], [], []
    numbers = iter(range(10**9))
    lock = threading.Lock()
    begin = time.time()

    def send():
        connection = sender.connection()
        while not over.is_set():
            with lock:
                number = next(numbers)
            if options.count and number >= options.count:
                return
            name = f"burst-{number}"
            body = {"event_type": "task_broadcast", "source": "bench"}
            body["payload"] = {"task": {"id": name, "goal": "x" * 100}}
            start = time.time()
            try:
                status, answer = sender.call(
                    connection, "POST", "/publish", body
                )
            except OSError as error:
                status, answer = 0, str(error)
                connection = sender.connection()
            latency.append(time.time() - start)
            (acknowledged if 200 <= status < 300 else failed).append((name, answer))

    def stop_and_go(node, offset):
        time.sleep(offset)
        while not over.is_set():
            node.signal(signal.SIGSTOP)
            time.sleep(options.stop)
            node.signal(signal.SIGCONT)
            node.stopped_s += options.stop
            over.wait(options.period - options.stop)

    def follow(node):
        connection = node.connection()
        while not done.is_set():
            try:
                if node.read_log(connection) < 1000:
                    done.wait(0.5)
            except OSError:
                connection = node.connection()
                done.wait(1)

    done = threading.Event()
    followers = [threading.Thread(target=follow, args=(node,)) for node in receivers]
    stoppers = [
        threading.Thread(target=stop_and_go, args=(node, 1 + 3 * n)) for n, node in enumerate(slow)
    ]
    senders = [threading.Thread(target=send) for _ in range(options.threads)]
    for thread in followers + stoppers + senders:
        thread.start()
    meshes = []
    while any(thread.is_alive() for thread in senders):
        if not options.count and time.time() - begin > options.seconds:
            over.set()
        _, peers = sender.call(sender.connection(), "GET", "/peers")
        meshes.append(sum(1 for peer in peers if peer.get("in_mesh", True)))
        time.sleep(1)
    sent_s = time.time() - begin
    over.set()
    for thread in stoppers:
        thread.join()
    say(f"{len(acknowledged)} acknowledged in {sent_s:.0f} s; waiting for the receivers")

    names = {name for name, _ in acknowledged}
    waited = time.time()
    missing = {}
    while time.time() - waited < options.wait:
        missing = {n: len(names - node.seen) for n, node in enumerate(receivers)}
        if not any(missing.values()):
            break
        time.sleep(0.5)
    caught_up_s = time.time() - waited
    done.set()
    for thread in followers:
        thread.join()

    latency.sort()
    at = lambda part: round(1000 * latency[min(int(part * len(latency)), len(latency) - 1)], 1)
    sender_stats = sender.stats()
    result = {
        "seconds": round(sent_s, 1),
        "sent": len(acknowledged) + len(failed),
        "acknowledged": len(acknowledged),
        "failed": len(failed),
        "per_second": round(len(acknowledged) / sent_s),
        "ack_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1)},
        "caught_up_s": round(caught_up_s, 1),
        "sender": {
            "mesh_least": min(meshes, default=None),
            "mesh_end": meshes[-1] if meshes else None,
            "publish_dropped": sender_stats["publish_dropped"],
            "publish_retries": sender_stats["publish_retries"],
            "log": sender_stats["sync_log_messages"],
            "rss_mib": sender.rss_mib(),
        },
        "receivers": [],
    }
    if failed:
        result["first_failure"] = failed[0][1]
    for n, node in enumerate(receivers):
        stats = node.stats()
        result["receivers"].append(
            {
                "slow": node in slow,
                "stopped_s": node.stopped_s,
                "by_gossip": stats["sync_by_gossip"],
                "by_sync": stats["sync_by_sync"],
                "inbound_dropped": stats["inbound_dropped"],
                "missing": missing.get(n),
                "rss_mib": node.rss_mib(),
            }
        )
    result["lost"] = sum(missing.values())
    if options.json:
        print(json.dumps(result))
    else:
        show(result)
    return 1 if result["lost"] else 0


def show(result):
    print(f"sent {result['sent']} in {result['seconds']} s, acknowledged {result['acknowledged']}", end="")
    print(f" ({result['per_second']} a second), failed {result['failed']}")
    ack = result["ack_ms"]
    print(f"acknowledged after {ack['p50']} ms (p50), {ack['p99']} ms (p99), {ack['max']} ms (most)")
    sender = result["sender"]
    print(f"sender: mesh {sender['mesh_least']} at least, {sender['mesh_end']} at the end;", end="")
    print(f" {sender['publish_dropped']} copies dropped; {sender['log']} messages in its log;", end="")
    print(f" {sender['rss_mib']} MiB")
    print("| receiver | stopped, s | by gossip | by sync | dropped | missing | MiB |")
    print("|---|---|---|---|---|---|---|")
    for n, node in enumerate(result["receivers"]):
        kind = "slow" if node["slow"] else "quick"
        cells = [f"{n}, {kind}", node["stopped_s"], node["by_gossip"], node["by_sync"]]
        cells += [node["inbound_dropped"], node["missing"], node["rss_mib"]]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
    print(f"all had everything {result['caught_up_s']} s after the end; lost: {result['lost']}")


if __name__ == "__main__":
    sys.exit(main())

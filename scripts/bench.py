#!/usr/bin/env python3
"""Measures a pair of pagi nodes on this machine and prints the figures as a Markdown table.

    cargo build --release && python3 scripts/bench.py [path to pagi]

Each figure that depends on the machine's speed is also given as a ratio to a plain round trip over
loopback TCP, or to an fdatasync of one page, measured in the same run. Python's standard library only.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PAGI = sys.argv[1] if len(sys.argv) > 1 else "target/release/pagi"
GOAL = "What is 12 * (3 + 4)?"


class Node:
    """A node process on loopback, and keep-alive connections to its control API."""

    def __init__(self, folder, bootstrap=None):
        command = [PAGI, "run", "--json", "--no-mdns", "--data-dir", str(folder)]
        command += ["--listen", "/ip4/127.0.0.1/tcp/0", "--control", "127.0.0.1:0"]
        if bootstrap:
            command += ["--bootstrap", bootstrap]
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.ready = json.loads(self.process.stdout.readline())
        self.ready_s = time.perf_counter() - start
        self.address = self.ready["control"].removeprefix("http://")
        token = (pathlib.Path(folder) / "token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection(self.address)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, self.headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {text!r}")
        return json.loads(text)

    def follow(self, kind, heard):
        """Calls `heard(data, time)` for each event of a kind, on a thread."""
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", f"/events?event_type={kind}", headers=self.headers)
        response = connection.getresponse()

        def listen():
            for line in response:
                if line.startswith(b"data:"):
                    heard(json.loads(line[5:]), time.perf_counter())

        threading.Thread(target=listen, daemon=True).start()

    def memory_mib(self, field):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"no {field}")

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)


def timed(work, times):
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return took


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def loopback_round_trip():
    """Median seconds for 512 bytes there and back over loopback TCP, with no protocol."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo():
        peer, _ = server.accept()
        while data := peer.recv(4096):
            peer.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    client = socket.create_connection(server.getsockname())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def trip():
        client.sendall(b"x" * 512)
        got = 0
        while got < 512:
            got += len(client.recv(4096))

    return statistics.median(timed(trip, 2000))


def fsync_page(folder):
    """Median seconds to rewrite one page of a file and fdatasync it."""
    file = os.open(folder / "fsync", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, b"x" * 1048576, 0)
    os.fsync(file)
    page = iter(range(1 << 30))

    def write():
        os.pwrite(file, os.urandom(4096), 4096 * (next(page) % 256))
        os.fdatasync(file)

    return statistics.median(timed(write, 200))


def wait(what, look, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise SystemExit(f"waited in vain for {what}")


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pagi-bench-"))
    trip, sync = loopback_round_trip(), fsync_page(folder)
    rows = [("plain loopback TCP round trip, 512 bytes (median)", f"{trip * 1e3:.3f} ms", "1")]
    rows.append(("rewrite 4 KiB of a file and fdatasync (median)", f"{sync * 1e3:.2f} ms", "1 (fdatasync)"))

    first = Node(folder / "a")
    ready = [first.ready_s]
    second = Node(folder / "b", first.ready["listen"][0])
    ready.append(second.ready_s)
    for n in range(8):
        node = Node(folder / f"r{n}")
        ready.append(node.ready_s)
        node.stop()
    rows.append(("`pagi run` to ready, first start (median of 10)", f"{statistics.median(ready):.2f} s", ""))

    wait("the nodes to meet", lambda: len(second.call("GET", "/swarm")["nodes"]) == 2)
    wait("an MO", lambda: second.call("GET", "/mo")["mo"] and first.call("GET", "/mo")["mo"])
    time.sleep(5)
    before, start = first.cpu_s(), time.perf_counter()
    time.sleep(30)
    cpu = (first.cpu_s() - before) / (time.perf_counter() - start)
    total, own = first.memory_mib("VmRSS"), first.memory_mib("RssAnon")
    rows.append(("resident memory of an idle node in a swarm of 2", f"{total:.1f} MiB", ""))
    rows.append(("of that its own; the rest is the program's file, shared by all nodes of a machine", f"{own:.1f} MiB", ""))
    rows.append(("CPU of that node over 30 s", f"{100 * cpu:.2f} % of one core", ""))

    # The node closed the connection that was idle meanwhile.
    first.connection = http.client.HTTPConnection(first.address)
    rest = timed(lambda: first.call("GET", "/mo"), 2000)
    rows.append(("REST round trip, `GET /mo` (p50)", f"{quantile(rest, .5) * 1e3:.2f} ms", f"{quantile(rest, .5) / trip:.1f}"))
    rows.append(("REST round trip, `GET /mo` (p99)", f"{quantile(rest, .99) * 1e3:.2f} ms", f"{quantile(rest, .99) / trip:.1f}"))

    twin = first.call("POST", "/twins", {})["twin_id"]
    note = {"role": "user", "content": "a note of some forty characters, or so it is"}
    write = timed(lambda: first.call("POST", f"/memory/{twin}", note), 300)
    rows.append(("durable write, `POST /memory` (p50)", f"{quantile(write, .5) * 1e3:.2f} ms", f"{quantile(write, .5) / sync:.1f} (fdatasync)"))

    sent, heard = {}, {}
    second.follow("task_broadcast", lambda event, at: heard.setdefault(event["payload"]["task"]["id"], at))
    time.sleep(0.5)
    for n in range(500):
        task = {"id": str(n), "goal": "nothing"}
        sent[str(n)] = time.perf_counter()
        first.call("POST", "/execute/broadcast_swarm_task", {"parameters": {"task": task}})
    wait("all events", lambda: len(heard) == len(sent))
    gossip = [heard[n] - sent[n] for n in sent]
    for name, q in (("p50", .5), ("p99", .99)):
        value = quantile(gossip, q)
        rows.append((f"event published by REST to delivered by SSE on another node, durable on both ({name})", f"{value * 1e3:.2f} ms", f"{value / trip:.0f}"))

    goal = lambda: first.call("POST", f"/interact/{twin}", {"goal": GOAL})
    for _ in range(5):
        goal()
    took = timed(goal, 50)
    rows.append((f"a whole goal without a model, \"{GOAL}\" (p50)", f"{quantile(took, .5) * 1e3:.1f} ms", f"{quantile(took, .5) / sync:.0f} (fdatasync)"))
    first.stop()
    second.stop()

    print("| what | figure | ratio to a plain round trip |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()

"""Node processes on loopback for the swarm scripts. Python's standard library only.

A `Node` keeps its data directory and its port over restarts, so that a killed one comes back as
itself. All talk goes over the control socket in the data directory.
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


class Unreachable(Exception):
    """A node that does not answer."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def free_port():
    """A TCP port nobody uses, outside the range other programs get theirs from."""
    for _ in range(1000):
        port = 10_000 + int.from_bytes(os.urandom(2), "big") % 20_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("there is no free port")


class Node:
    """One node: its data directory, its port, and the process while there is one."""

    def __init__(self, program, folder, name, extra=()):
        self.program, self.name, self.extra = program, name, list(extra)
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.port = free_port()
        self.process = self.did = self.peer_id = self.twin_id = None
        self.ready_s = None

    @property
    def address(self):
        """The multiaddr others dial."""
        return f"/ip4/127.0.0.1/tcp/{self.port}/p2p/{self.peer_id}"

    def spawn(self, bootstrap=()):
        """Starts the process without waiting for it."""
        command = [self.program, "up", "--json", "--no-mdns", "--no-control-tcp"]
        command += ["--data-dir", str(self.folder), "--listen", f"/ip4/127.0.0.1/tcp/{self.port}"]
        for address in bootstrap:
            command += ["--bootstrap", address]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PAGI_LLM")}
        with open(self.folder / "log.txt", "ab") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                command + self.extra, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
                env=environment)

    def ready(self):
        """Waits for the ready document."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} did not start: {self.last_words()}")
        document = json.loads(line)
        if "peer_id" not in document:
            raise SystemExit(f"{self.name} did not start: {document}")
        self.ready_s = time.perf_counter() - self.started
        if self.did not in (None, document["did"]):
            raise SystemExit(f"{self.name} came back as another node: {document['did']}")
        self.did, self.peer_id = document["did"], document["peer_id"]
        self.twin_id = document["twin_id"]

    def last_words(self):
        text = (self.folder / "log.txt").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"

    def call(self, method, path, body=None, timeout=30):
        """One request; its JSON answer."""
        connection = SocketConnection(self.folder / "control.sock", timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except OSError as error:
            raise Unreachable(f"{self.name}: {method} {path}: {error}") from error
        except http.client.HTTPException as error:
            raise Unreachable(f"{self.name}: {method} {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise Unreachable(f"{self.name}: {method} {path}: {response.status} {text[:300]!r}")
        return json.loads(text)

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body, timeout=30):
        return self.call("POST", path, body, timeout)

    def events(self, kind):
        """A non-blocking socket that streams the events of a kind as they are stored."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(self.folder / "control.sock"))
        sock.sendall(f"GET /events?event_type={kind} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sock.setblocking(False)
        return sock

    def kill(self):
        """SIGKILL: the process gets no chance to say goodbye."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def cpu_s(self):
        """Processor seconds so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """Bytes: `rss`, `pss` (shared pages divided by their users), `private` (nobody else's)."""
        found = {}
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            words = line.split()
            if words[0].endswith(":") and len(words) == 3:
                found[words[0][:-1]] = int(words[1]) * 1024
        return {
            "rss": found["Rss"],
            "pss": found["Pss"],
            "private": found["Private_Clean"] + found["Private_Dirty"],
            "anonymous": found["Anonymous"],
        }

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


class Swarm:
    """Nodes that all know the first; ended and removed with the `with` block."""

    def __init__(self, program, count, extra=(), bootstraps=1):
        self.program, self.bootstraps = program, bootstraps
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pagi-swarm-"))
        self.nodes = [Node(program, self.folder, f"node{n}", extra) for n in range(count)]
        self.keep = False

    def __enter__(self):
        # What started a script may end it with a signal: the nodes end with it all the same.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, kind, *_):
        up = [node for node in self.nodes if node.is_up()]
        for node in up:
            node.process.terminate()
        deadline = time.time() + 15
        for node in up:
            try:
                node.process.wait(max(0.1, deadline - time.time()))
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()
        if self.keep or kind not in (None, KeyboardInterrupt):
            print(f"the nodes' data and logs are kept in {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def known(self, node):
        """The bootstrap addresses of a node."""
        return [first.address for first in self.nodes[: self.bootstraps] if first is not node]

    def start(self):
        """Starts all processes and waits until each is ready."""
        for first in self.nodes[: self.bootstraps]:
            first.spawn([other.address for other in self.nodes[: self.bootstraps] if other.peer_id])
            first.ready()
        rest = self.nodes[self.bootstraps :]
        for node in rest:
            node.spawn(self.known(node))
        for node in rest:
            node.ready()

    def restart(self, nodes):
        """Starts killed nodes again, in one go, so that all of them may find nobody at home."""
        for node in nodes:
            node.spawn(self.known(node))
        for node in nodes:
            node.ready()

    def union(self, node):
        """What is missing for a node to be one with all others; None when nothing is."""
        view = node.get("/swarm")
        nodes = {other.did for other in self.nodes}
        twins = {other.twin_id for other in self.nodes}
        if missing := nodes - set(view["nodes"]):
            return f"{node.name} does not know {len(missing)} nodes"
        if missing := twins - {twin["twin_id"] for twin in view["twins"]}:
            return f"{node.name} does not know {len(missing)} twins"
        return None

    def one_mo(self):
        """The MO and its term, where all nodes name the same, and what is wrong otherwise."""
        seen = {}
        for node, view in ask_all(self.nodes, "/mo"):
            seen.setdefault((view["mo"], view["term"]), []).append(node.name)
        if len(seen) != 1 or None in next(iter(seen)):
            few = {f"{(mo or 'none')[-6:]}/{term}": len(names) for (mo, term), names in seen.items()}
            return None, f"no common MO: {few}"
        return next(iter(seen)), None

    def one_head(self):
        """The playbook's head, where all have one and the same, and what is wrong otherwise."""
        seen = {}
        for node, view in ask_all(self.nodes, "/playbook"):
            seen.setdefault(tuple(sorted(view["heads"])), []).append(node.name)
        if len(seen) != 1 or len(next(iter(seen))) != 1:
            few = {"+".join(cid[-6:] for cid in heads): len(names) for heads, names in seen.items()}
            return None, f"no common playbook head: {few}"
        return next(iter(seen))[0], None

    def wait_for_union(self, seconds):
        """Waits until every node knows all nodes and twins and one MO; the time it took."""
        start = time.perf_counter()
        left = list(self.nodes)
        while True:
            problem = None
            still = []
            for node in left:
                try:
                    why = self.union(node)
                except Unreachable as error:
                    why = str(error)
                if why:
                    problem = why
                    still.append(node)
            left = still
            if not left:
                try:
                    _, problem = self.one_mo()
                except Unreachable as error:
                    problem = str(error)
                if problem is None:
                    return time.perf_counter() - start
            if time.perf_counter() - start > seconds:
                raise SystemExit(f"no one swarm after {seconds} s: {problem}; {len(left)} nodes lag")
            time.sleep(0.25)


POOL = concurrent.futures.ThreadPoolExecutor(8)


def ask_all(nodes, path):
    """Asks nodes side by side; pairs of node and answer."""
    return list(zip(nodes, POOL.map(lambda node: node.get(path), nodes)))


class Ears:
    """Hears the events of a kind on many nodes, on one thread."""

    def __init__(self, nodes, kind, heard):
        self.selector = selectors.DefaultSelector()
        for node in nodes:
            self.selector.register(node.events(kind), selectors.EVENT_READ, [node, b""])
        self.heard, self.stopped = heard, False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.stopped:
            for key, _ in self.selector.select(0.5):
                now = time.perf_counter()
                node, rest = key.data
                try:
                    data = key.fileobj.recv(65536)
                except BlockingIOError:
                    continue
                if not data:
                    self.selector.unregister(key.fileobj)
                    continue
                *lines, key.data[1] = (rest + data).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:"):
                        self.heard(node, json.loads(line[5:]), now)

    def stop(self):
        self.stopped = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def program(argument):
    """The `pagi` to run: the argument, PAGI, or the release build."""
    root = pathlib.Path(__file__).resolve().parent.parent
    path = argument or os.environ.get("PAGI") or root / "target/release/pagi"
    if not os.access(path, os.X_OK):
        raise SystemExit(f"there is no program {path}; build it with `cargo build --release`")
    return str(path)

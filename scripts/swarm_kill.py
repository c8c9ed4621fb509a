#!/usr/bin/env python3
"""Kills nodes of a working swarm without warning, over and over, and sees that it heals by itself.

    cargo build --release && python3 scripts/swarm_kill.py [--nodes 20 --victims 5 --seconds 300]

Every round some nodes get SIGKILL at once and are started again on their own data, while twins of all
nodes reach goals, teach what they learned, and publish events. The swarm has healed when every node
knows all nodes and all twins, all name the same Master Orchestrator, and all have the same one playbook
head. Goals are given throughout; while healing is measured, those that change the playbook pause after
a while, for a head that keeps moving cannot be compared. At the end every lesson that a node
acknowledged must be merged on all nodes. `--seed` replays the choice of victims and goals. Exits with 1,
and says what is wrong, when the swarm does not heal in time. Python's standard library only.
"""

import argparse
import json
import os
import random
import statistics
import sys
import threading
import time

from swarm_nodes import Swarm, Unreachable, ask_all, program, quantile

LESSONS = [
    "Check this machine's health and report anything above 80%",
    "Calculate {a} * {b} and tell me the result",
    "Which twins are known in the swarm?",
    "Pull the newest playbook of the hive",
    "What is {a} + {b}?",
]


class Load:
    """Goals and events, from a thread of its own, on whatever nodes are up."""

    def __init__(self, swarm, seed):
        self.swarm, self.random = swarm, random.Random(seed)
        self.artifacts, self.events, self.goals, self.failed = set(), 0, 0, 0
        self.teaching, self.stopped = threading.Event(), threading.Event()
        self.quiet = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            node = self.random.choice(self.swarm.nodes)
            goal = self.random.choice(LESSONS).format(
                a=self.random.randrange(100), b=self.random.randrange(100))
            try:
                if self.teaching.is_set():
                    self.quiet.clear()
                    done = node.post(f"/interact/{node.twin_id}", {"goal": goal}, timeout=20)
                    self.goals += done["status"] == "completed"
                    if cid := done.get("artifact_cid"):
                        self.artifacts.add(cid)
                else:
                    self.quiet.set()
                task = {"id": f"task-{self.events}", "goal": "nothing"}
                node.post("/execute/broadcast_swarm_task", {"parameters": {"task": task}}, timeout=20)
                self.events += 1
            except (Unreachable, FileNotFoundError):
                self.failed += 1  # the node is down, or went down meanwhile
            self.stopped.wait(0.1)

    def stop(self):
        self.stopped.set()
        self.thread.join()


def healed(swarm):
    """What is still wrong, by condition; empty when nothing is."""
    wrong = {}

    def look(name, problem):
        try:
            if why := problem():
                wrong[name] = why
        except (Unreachable, FileNotFoundError) as error:
            wrong[name] = str(error)

    look("twins", lambda: next(filter(None, map(swarm.union, swarm.nodes)), None))
    look("MO", lambda: swarm.one_mo()[1])
    look("head", lambda: swarm.one_head()[1])
    return wrong


def wait_until_healed(swarm, since, seconds, on_glance=lambda: None):
    """Seconds from `since` until the swarm has healed, in all and by condition."""
    last = {}
    while True:
        on_glance()
        wrong = healed(swarm)
        now = time.perf_counter() - since
        if not wrong:
            return now, last
        for name in wrong:
            last[name] = now
        if now > seconds:
            raise SystemExit(f"FAIL: not healed {now:.0f} s after the kill: {json.dumps(wrong)}")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--victims", type=int, default=5)
    parser.add_argument("--every", type=float, default=10, help="seconds between kills")
    parser.add_argument("--seconds", type=float, default=300, help="how long to go on")
    parser.add_argument("--rounds", type=int, help="how often to kill, instead of --seconds")
    parser.add_argument("--teach", type=float, default=3,
                        help="seconds after a kill for which goals still change the playbook")
    parser.add_argument("--patience", type=float, default=60, help="seconds a round may take to heal")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--bootstraps", type=int, default=1, help="how many nodes the others know")
    parser.add_argument("--json", action="store_true", help="end with one JSON document")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data and logs")
    parser.add_argument("--verbose-nodes", action="store_true", help="have the nodes log more")
    parser.add_argument("--pagi", help="the program; default: PAGI or the release build")
    options = parser.parse_args()
    out = sys.stderr if options.json else sys.stdout
    say = lambda text: print(text, file=out, flush=True)
    say(f"seed {options.seed}: {options.nodes} nodes, {options.victims} killed every {options.every:g} s")
    choose = random.Random(options.seed)
    extra = ["-v"] if options.verbose_nodes else []
    with Swarm(program(options.pagi), options.nodes, extra, options.bootstraps) as swarm:
        swarm.keep = options.keep
        report = run(swarm, options, choose, say)
    if options.json:
        print(json.dumps(report))


def run(swarm, options, choose, say):
    begin = time.perf_counter()
    swarm.start()
    swarm.wait_for_union(180)
    say(f"one swarm after {time.perf_counter() - begin:.1f} s")
    load = Load(swarm, options.seed)
    load.teaching.set()
    time.sleep(2)
    rounds, start = [], time.perf_counter()
    while len(rounds) < options.rounds if options.rounds else time.perf_counter() - start < options.seconds:
        victims = choose.sample(swarm.nodes, options.victims)
        kill_at = time.perf_counter()
        mo = swarm.nodes[0].did
        try:
            mo = (swarm.one_mo()[0] or [None])[0]
        except Unreachable:
            pass
        for node in victims:
            node.kill()
        swarm.restart(victims)
        up = time.perf_counter() - kill_at

        def glance():
            if time.perf_counter() - kill_at > options.teach:
                load.teaching.clear()

        while time.perf_counter() - kill_at < options.teach:
            time.sleep(0.05)
        load.teaching.clear()
        load.quiet.wait(20)
        took, last = wait_until_healed(swarm, kill_at, options.patience, glance)
        lost_mo = any(node.did == mo for node in victims)
        load.teaching.set()
        rounds.append({
            "killed": [node.name for node in victims], "mo_killed": lost_mo,
            "restarted_s": round(up, 2), "healed_s": round(took, 2),
            "last_wrong_s": {name: round(at, 2) for name, at in last.items()},
        })
        slow = ", ".join(f"{name} {at:.1f}" for name, at in sorted(last.items(), key=lambda x: x[1]))
        say(f"round {len(rounds):2}: healed after {took:5.2f} s"
            f"{' (the MO was among the killed)' if lost_mo else ''}"
            f"{'; last wrong: ' + slow if slow else ''}")
        time.sleep(max(0, kill_at + options.every - time.perf_counter()))
    load.teaching.clear()
    load.stop()
    wait_until_healed(swarm, time.perf_counter(), options.patience)
    lost = unmerged(swarm, load.artifacts)
    times = [one["healed_s"] for one in rounds]
    say(f"{len(rounds)} rounds; healing took {statistics.median(times):.1f} s (median), "
        f"{max(times):.1f} s at most; {load.goals} goals reached, {load.events} events published, "
        f"{len(load.artifacts)} lessons, all merged on all nodes")
    return {
        "seed": options.seed, "nodes": options.nodes, "victims": options.victims, "rounds": rounds,
        "healed_p50_s": statistics.median(times), "healed_p99_s": quantile(times, 0.99),
        "healed_max_s": max(times), "goals": load.goals, "events": load.events,
        "artifacts": len(load.artifacts), "unmerged": len(lost), "revisions":
        swarm.nodes[0].get("/playbook")["revisions"],
    }


def unmerged(swarm, artifacts, seconds=60):
    """Waits until every acknowledged lesson is merged everywhere; ends the run where one is not."""
    deadline = time.time() + seconds
    while True:
        missing = {}
        for cid in artifacts:
            try:
                for node, view in ask_all(swarm.nodes, f"/artifacts/{cid}"):
                    if view["status"] != "merged":
                        missing[cid] = f"{node.name}: {view['status']} {view.get('reason') or ''}"
            except Unreachable as error:
                missing[cid] = str(error)
        if not missing:
            return missing
        if time.time() > deadline:
            few = dict(list(missing.items())[:3])
            raise SystemExit(f"FAIL: {len(missing)} of {len(artifacts)} lessons are not merged: {few}")
        time.sleep(1)


main()

#!/usr/bin/env python3
"""Many nodes on one machine become one swarm; prints what that takes.

    cargo build --release && python3 scripts/swarm_scale.py --nodes 50 [--json]

Every node is a process of its own, with a twin, and knows one bootstrap address. Measured are the time
until every node knows all nodes, all twins and the same Master Orchestrator; processor time and traffic
of the idle swarm; memory; and how long an event takes from the call that publishes it to the event
stream of every other node, where it is stored by then. Python's standard library only.
"""

import argparse
import json
import os
import statistics
import threading
import time

from swarm_nodes import MIB, Ears, Swarm, ask_all, program, quantile


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--idle", type=float, default=40, help="seconds of the idle measurement")
    parser.add_argument("--events", type=int, default=200, help="events to publish")
    parser.add_argument("--rate", type=float, default=10, help="events per second")
    parser.add_argument("--patience", type=float, default=300, help="seconds until one swarm")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' data and logs")
    parser.add_argument("--pagi", help="the program; default: PAGI or the release build")
    options = parser.parse_args()
    with Swarm(program(options.pagi), options.nodes) as swarm:
        swarm.keep = options.keep
        report = measure(swarm, options)
    if options.json:
        print(json.dumps(report))
    else:
        show(report)


def measure(swarm, options):
    nodes = swarm.nodes
    say = (lambda *_: None) if options.json else print
    begin = time.perf_counter()
    swarm.start()
    started = time.perf_counter() - begin
    say(f"{len(nodes)} processes ready after {started:.1f} s", flush=True)
    swarm.wait_for_union(options.patience)
    formed = time.perf_counter() - begin
    (mo, term), _ = swarm.one_mo()
    say(f"one swarm after {formed:.1f} s, term {term}", flush=True)

    time.sleep(10)
    before, cpu, start = counted(nodes), [node.cpu_s() for node in nodes], time.perf_counter()
    time.sleep(options.idle)
    idle_s = time.perf_counter() - start
    cpu = [node.cpu_s() - was for node, was in zip(nodes, cpu)]
    memory = [node.memory() for node in nodes]
    after = counted(nodes)
    idle = {name: (after[name] - before[name]) / idle_s for name in after}

    late, took = spread(nodes, options)
    events = counted(nodes)
    brought = events["received"] - after["received"]
    copies = (events["gossip_copies"] - after["gossip_copies"]) if "gossip_copies" in events else None
    peers = [len(found) for _, found in ask_all(nodes, "/peers")]
    of = lambda name: [one[name] / MIB for one in memory]
    return {
        "nodes": len(nodes),
        "cpus": os.cpu_count(),
        "processes_ready_s": round(started, 2),
        "one_swarm_s": round(formed, 2),
        "mo": mo,
        "term": term,
        "peers": {"median": statistics.median(peers), "max": max(peers)},
        "memory_mib": {
            name: {"median": round(statistics.median(of(name)), 1), "max": round(max(of(name)), 1)}
            for name in ("rss", "pss", "private", "anonymous")
        },
        "memory_all_pss_mib": round(sum(of("pss")), 1),
        "threads": {"median": statistics.median([node.threads() for node in nodes])},
        "idle": {
            "seconds": round(idle_s, 1),
            "cpu_all_percent_of_one_core": round(100 * sum(cpu) / idle_s, 1),
            "cpu_median_node_percent": round(100 * statistics.median(cpu) / idle_s, 2),
            "cpu_busiest_node_percent": round(100 * max(cpu) / idle_s, 2),
            "messages_published_per_s": round(idle["published"], 2),
            "messages_received_per_s_and_node": round(idle["received"] / len(nodes), 2),
            "copies_received_per_s_and_node":
                round(idle["gossip_copies"] / len(nodes), 2) if "gossip_copies" in idle else None,
        },
        "events": {
            "published": options.events,
            "expected": options.events * (len(nodes) - 1),
            "delivered": len(took),
            "lost": late,
            "p50_ms": round(quantile(took, 0.5) * 1e3, 2),
            "p99_ms": round(quantile(took, 0.99) * 1e3, 2),
            "max_ms": round(max(took) * 1e3, 2),
            "duplicates_per_message":
                None if copies is None else round((copies - brought) / max(1, brought), 2),
        },
    }


def counted(nodes):
    """The sums of the nodes' network counters."""
    total = {}
    for _, view in ask_all(nodes, "/swarm"):
        for name, value in view["stats"].items():
            total[name] = total.get(name, 0) + value
    return total


def spread(nodes, options):
    """Publishes events from node after node; deliveries missing and the times of the others."""
    sent, heard, changed = {}, {}, threading.Condition()

    def note(node, event, at):
        # By the publisher's own stream it is no delivery.
        task = event["payload"].get("task") or {}
        with changed:
            heard.setdefault(task.get("id"), {}).setdefault(node.name, at)
            changed.notify()

    ears = Ears(nodes, "task_broadcast", note)
    time.sleep(1)
    for n in range(options.events):
        node, name = nodes[n * 7 % len(nodes)], f"event-{n}"
        sent[name] = (node.name, time.perf_counter())
        task = {"id": name, "goal": "nothing"}
        node.post("/execute/broadcast_swarm_task", {"parameters": {"task": task}})
        time.sleep(max(0, sent[name][1] + 1 / options.rate - time.perf_counter()))

    def missing():
        return sum(len(nodes) - 1 - len(set(heard.get(name, ())) - {by}) for name, (by, _) in sent.items())

    with changed:
        changed.wait_for(lambda: missing() == 0, timeout=30)
        late = missing()
    ears.stop()
    took = [at - start for name, (by, start) in sent.items()
            for node, at in heard.get(name, {}).items() if node != by]
    return late, took


def show(report):
    memory, idle, events = report["memory_mib"], report["idle"], report["events"]
    mib = lambda name: f"{memory[name]['median']:.1f} MiB (most: {memory[name]['max']:.1f})"
    rows = [
        ("nodes, on CPU cores", f"{report['nodes']} on {report['cpus']}"),
        ("all processes ready after", f"{report['processes_ready_s']:.1f} s"),
        ("one swarm after", f"{report['one_swarm_s']:.1f} s"),
        ("peers of a node", f"{report['peers']['median']:.0f} (most: {report['peers']['max']})"),
        ("RSS of a node, idle (median)", mib("rss")),
        ("PSS of a node", mib("pss")),
        ("private bytes of a node", mib("private")),
        ("all nodes together, PSS", f"{report['memory_all_pss_mib']:.0f} MiB"),
        (f"CPU of all nodes together, idle over {idle['seconds']:.0f} s",
         f"{idle['cpu_all_percent_of_one_core']:.1f} % of one core"),
        ("CPU of a node, idle (median, busiest)",
         f"{idle['cpu_median_node_percent']:.2f} %, {idle['cpu_busiest_node_percent']:.2f} %"),
        ("messages published by all, idle", f"{idle['messages_published_per_s']:.2f} per s"),
        ("messages received by a node, idle", f"{idle['messages_received_per_s_and_node']:.2f} per s"),
        ("events delivered", f"{events['delivered']} of {events['expected']}"),
        ("event published to stored on another node (p50)", f"{events['p50_ms']:.2f} ms"),
        ("event published to stored on another node (p99)", f"{events['p99_ms']:.2f} ms"),
    ]
    if events["duplicates_per_message"] is not None:
        rows.append(("duplicates per message and node", f"{events['duplicates_per_message']:.2f}"))
        rows.append(("copies received by a node, idle", f"{idle['copies_received_per_s_and_node']:.2f} per s"))
    print("\n| what | figure |\n|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


main()

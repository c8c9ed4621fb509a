"""A bad cable: carries frames between two network interfaces, late and not all of them.

    wire.py LOSS_PERCENT DELAY_MS A:B...

Used where the kernel has no netem. Frames from A reach B after the delay, or never; frames from B
reach A at once. Frames keep their offload marks, so segments that were not cut yet stay whole.
"""

import heapq
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR = 263, 15
ALL_FRAMES = 0x0003
LARGEST = 70000


def attach(name):
    """A socket that sees every frame that arrives at the interface."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.bind((name, ALL_FRAMES))
    s.setblocking(False)
    return s


def send(sink, frame):
    try:
        sink.send(frame)
    except OSError:
        pass  # the link is down or its queue is full: one more lost frame


def main():
    loss, delay = float(sys.argv[1]) / 100, float(sys.argv[2]) / 1000
    routes = {}
    for pair in sys.argv[3:]:
        a, b = (attach(name) for name in pair.split(":"))
        routes[a.fileno()] = (a, b, True)
        routes[b.fileno()] = (b, a, False)
    poll = select.poll()
    for fd in routes:
        poll.register(fd, select.POLLIN)
    late, order = [], 0
    while True:
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, sink, frame = heapq.heappop(late)
            send(sink, frame)
        wait = max(0.0, (late[0][0] - now) * 1000) if late else 1000
        for fd, _ in poll.poll(wait):
            source, sink, bad = routes[fd]
            for _ in range(64):
                try:
                    frame, origin = source.recvfrom(LARGEST)
                except OSError:
                    break
                if origin[2] == socket.PACKET_OUTGOING:
                    continue  # what this program itself sent
                if not bad:
                    send(sink, frame)
                elif random.random() >= loss:
                    order += 1
                    heapq.heappush(late, (time.monotonic() + delay, order, sink, frame))


main()

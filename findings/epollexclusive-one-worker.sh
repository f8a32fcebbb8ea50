#!/usr/bin/env bash
# Tool and version: Linux 6.18, EPOLLEXCLUSIVE (since 4.5) and EPOLLIN on one shared listener; Python 3.11
# Guess: EPOLLEXCLUSIVE, made against the thundering herd, wakes one of the workers that wait and spreads
#        connections over them, as evenly as plain epoll does.
# Seen:  the worker that waits first in the queue stays there, so one of eight workers gets nearly all connections
#        that come one at a time.
#          largest share of 8 workers: epoll 35%, EPOLLEXCLUSIVE 100%; even would be 12%
set -euo pipefail

echo "Linux $(uname -r)"
exec timeout 100 unshare --user --map-root-user --net bash -c 'ip link set lo up && exec python3 -' <<'PYTHON'
import os
import select
import signal
import socket
import sys
from collections import Counter

WORKERS, CONNECTIONS = 8, 2000


def work(listener, flags, me):
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN | flags)
    while True:
        poll.poll()
        try:
            taken = listener.accept()[0]
        except BlockingIOError:
            continue
        taken.send(bytes([me]))
        taken.close()


def largest_share(port, flags):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    listener.setblocking(False)
    pids = []
    for me in range(WORKERS):
        pids.append(os.fork())
        if not pids[-1]:
            work(listener, flags, me)
    counts = Counter()
    try:
        for _ in range(CONNECTIONS):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                counts[client.recv(1)] += 1
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return max(counts.values()) / CONNECTIONS


plain = largest_share(8001, 0)
exclusive = largest_share(8002, select.EPOLLEXCLUSIVE)
print(f"largest share of 8 workers: epoll {plain:.0%}, EPOLLEXCLUSIVE {exclusive:.0%}; even would be 12%")
sys.exit(not (exclusive > 0.6 and exclusive > 2 * plain))
PYTHON

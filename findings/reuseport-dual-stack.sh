#!/usr/bin/env bash
# Tool and version: Linux 6.18, SO_REUSEPORT on TCP listeners; the standard library of Python 3.11
# Guess: a dual-stack listener ([::], IPV6_V6ONLY off) takes IPv4 connections, so beside an IPv4 listener
#        (0.0.0.0) on the same port, both with SO_REUSEPORT, it gets about half of them.
# Seen:  it gets none, in whatever order the two are bound: the kernel rates an IPv4 socket higher for an IPv4
#        connection, and only sockets of the best rating share. Two dual-stack listeners share as expected.
#          dual-stack bound first, then 3 IPv4: [0, 133, 132, 135]
#          3 IPv4, then dual-stack bound last:  [126, 151, 123, 0]
#          2 dual-stack:                        [189, 211]
set -euo pipefail

echo "Linux $(uname -r)"
exec timeout 60 unshare --user --map-root-user --net bash -c 'ip link set lo up && exec python3 -' <<'PYTHON'
import selectors
import socket
import sys


def listener(dual, port):
    made = socket.socket(socket.AF_INET6 if dual else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if dual:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::" if dual else "0.0.0.0", port))
    made.listen(128)
    return made


def shares(kinds, port, connections=400):
    """Connect over IPv4 and count what each listener was given."""
    group = [listener(dual, port) for dual in kinds]
    counts = [0] * len(group)
    with selectors.DefaultSelector() as ready:
        for k, one in enumerate(group):
            ready.register(one, selectors.EVENT_READ, k)
        for _ in range(connections):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                ((key, _),) = ready.select(5)
                key.fileobj.accept()[0].close()
                counts[key.data] += 1
    for one in group:
        one.close()
    return counts


first = shares([True, False, False, False], 8001)
last = shares([False, False, False, True], 8002)
both = shares([True, True], 8003)
print("dual-stack bound first, then 3 IPv4:", first)
print("3 IPv4, then dual-stack bound last: ", last)
print("2 dual-stack:                       ", both)
sys.exit(not (first[0] == 0 and min(first[1:]) > 80 and last[3] == 0 and min(last[:3]) > 80 and min(both) > 120))
PYTHON

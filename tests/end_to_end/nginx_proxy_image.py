"""What the image nginxproxy/nginx-proxy does, as far as its README promises it: for tests without a registry.

It asks the engine at DOCKER_HOST for containers with VIRTUAL_HOST and VIRTUAL_PORT in their environment,
writes an nginx configuration for DEFAULT_HOST at HTTP_PORT, and reloads nginx at each of the engine's events.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import IO, Any

FILE = pathlib.Path("/etc/nginx/conf.d/default.conf")


class _Api:
    """Docker's API, by HTTP/1.0 over its socket: an answer ends with its connection."""

    def __init__(self) -> None:
        self._path = os.environ["DOCKER_HOST"].removeprefix("unix://")

    def open(self, target: str) -> IO[bytes]:
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(self._path)
        asked.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = asked.makefile("rb")
        while answer.readline().strip():
            pass
        return answer

    def get(self, target: str) -> Any:
        return json.loads(self.open(target).read())


def _members(api: _Api) -> list[str]:
    found = []
    for container in api.get("/containers/json"):
        seen = api.get(f"/containers/{container['Id']}/json")
        env = dict(word.split("=", 1) for word in seen["Config"]["Env"])
        if env.get("VIRTUAL_HOST") == os.environ["DEFAULT_HOST"]:
            (network,) = seen["NetworkSettings"]["Networks"].values()
            found.append(f"{network['IPAddress']}:{env['VIRTUAL_PORT']}")
    return sorted(found)


def _write(members: list[str]) -> bool:
    servers = "\n".join(f"    server {member};" for member in members)
    text = f"""
upstream {os.environ["DEFAULT_HOST"]} {{
{servers}
    keepalive 32;
}}
server {{
    listen {os.environ["HTTP_PORT"]} default_server;
    access_log off;
    location / {{
        proxy_pass http://{os.environ["DEFAULT_HOST"]};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }}
}}
"""
    if FILE.exists() and FILE.read_text() == text:
        return False
    FILE.write_text(text)
    return True


def main() -> None:
    """Serve, as long as nginx does."""
    if sys.argv[1:] != ["forego", "start", "-r"]:
        sys.exit(f"not the command of the image: {sys.argv[1:]}")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path("/var/log/nginx").mkdir(parents=True, exist_ok=True)
    pathlib.Path("/var/lib/nginx").mkdir(parents=True, exist_ok=True)
    pathlib.Path("/etc/nginx/nginx.conf").write_text(
        "user root;\nerror_log stderr;\npid /run/nginx.pid;\nevents { worker_connections 1024; }\n"
        "http { include /etc/nginx/conf.d/*.conf; }\n"
    )
    api = _Api()
    events = api.open("/events")
    _write(_members(api))
    with subprocess.Popen(["/usr/sbin/nginx", "-g", "daemon off;"]) as nginx:
        for line in events:
            changed = line.startswith(b"{") and json.loads(line).get("status") in {"start", "die", "died"}
            if changed and _write(_members(api)):
                subprocess.run(["/usr/sbin/nginx", "-s", "reload"], check=True)
        nginx.kill()


if __name__ == "__main__":
    main()

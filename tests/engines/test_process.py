"""The process engine: real processes in namespaces of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.process import ProcessEngine
from harness.errors import EngineError
from harness.scenario import Application

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost

_NAMES = ["instance-1", "instance-2", "instance-3"]
_ASK = (
    "import socket,sys\n"
    "s=socket.create_connection((sys.argv[1],int(sys.argv[2])),5)\n"
    "s.sendall(b'GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n')\n"
    "print(s.recv(1000).decode().splitlines()[-1])"
)


def _command(code: str, **more: object) -> Application:
    return Application.model_validate({"command": (sys.executable, "-c", code), **more})


def _ask(host: NetnsHost, address: str, port: int) -> str:
    return host.run([sys.executable, "-c", _ASK, address, str(port)]).stdout.strip()


def _pids(host: NetnsHost) -> list[str]:
    """List the nursery and its instances, in the order of their start, as the host numbers them."""
    found = host.run(["sh", "-c", "grep -lsa harness.engines.[n]ursery /proc/[0-9]*/cmdline"]).stdout
    return sorted((path.split("/")[2] for path in found.split()), key=int)


def test_instances_answer_with_their_names_and_count_what_they_served(host: NetnsHost) -> None:
    """Each instance is itself, behind an address of its own, and counts for itself."""
    engine = ProcessEngine(host, Application(), 3)
    members = engine.start(_NAMES)
    assert [member.name for member in members] == _NAMES
    assert len({member.address for member in members}) == 3
    for member, times in zip(members, (1, 2, 0), strict=True):
        for _ in range(times):
            assert _ask(host, member.address, member.port) == f"Hello from {member.name}"
    served = engine.served()
    assert served is not None
    assert [(count.connections, count.requests) for count in served] == [(1, 1), (2, 2), (0, 0)]
    assert engine.died() == []


def test_counts_outlive_the_instance_and_its_death_is_told(host: NetnsHost) -> None:
    """A killed instance's counts stay readable; how it ended is said."""
    engine = ProcessEngine(host, Application(), 1)
    (member,) = engine.start(["instance-1"])
    _ask(host, member.address, member.port)
    host.run(["kill", "-9", _pids(host)[-1]])
    served = engine.served()
    assert served is not None
    assert served[0].requests == 1
    end_s = time.monotonic() + 5
    while not (died := engine.died()) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert died == ["instance-1 died (killed by SIGKILL): it said nothing"]


def test_a_command_is_told_who_it_is(host: NetnsHost) -> None:
    """An application learns its name and port from its environment, and its host name from the system."""
    code = (
        "import os,socket\n"
        "told=[os.environ[key] for key in ('INSTANCE','PORT','EXTRA')]\n"
        "text=' '.join([*told,socket.gethostname()])\n"
        "s=socket.create_server(('',int(os.environ['PORT'])))\n"
        "while True:\n"
        "    c,_=s.accept(); c.recv(1000); c.sendall(text.encode()); c.close()\n"
    )
    engine = ProcessEngine(host, _command(code, port=9000, env={"EXTRA": "yes"}), 2)
    members = engine.start(["instance-1", "instance-2"])
    assert _ask(host, members[1].address, 9000) == "instance-2 9000 yes instance-2"
    assert engine.served() is None


def test_an_instance_that_dies_at_start_is_reported_with_its_last_words(host: NetnsHost) -> None:
    """The user sees why the application did not start."""
    code = "import sys; print('line one\\nno database\\x1b[31m', file=sys.stderr); sys.exit(3)"
    with pytest.raises(EngineError) as caught:
        ProcessEngine(host, _command(code), 3).start(_NAMES)
    assert "died (exit status 3): line one | no database?[31m" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_instance_that_gets_no_namespaces_is_told_with_the_limit(host: NetnsHost) -> None:
    """A real limit, set inside: the host and the client side have two networks, one instance a third."""
    host.run(["sh", "-c", "echo 3 > /proc/sys/user/max_net_namespaces"])
    with pytest.raises(
        EngineError, match=r"instance-\d died .*No space left on device; see .*user.max_"
    ) as caught:
        ProcessEngine(host, Application(), 3).start(_NAMES)
    assert "\n" not in str(caught.value)


def test_a_command_that_does_not_exist_is_named(host: NetnsHost) -> None:
    """A mistyped command is an instance that dies at start."""
    with pytest.raises(EngineError, match=r"FileNotFoundError.*application: no-such-command"):
        ProcessEngine(host, Application(command=("no-such-command",)), 1).start(["instance-1"])


def test_an_application_that_never_listens_is_given_up(host: NetnsHost) -> None:
    """The deadline is the scenario's, and the ports on which it does listen are named."""
    code = "import socket,time; s=socket.create_server(('',8111)); time.sleep(100)"
    with pytest.raises(
        EngineError, match=r"never listened on port 9 within 0.5 s \(listening on: 8111"
    ) as caught:
        ProcessEngine(host, _command(code, port=9, start_timeout_ns=500_000_000), 2).start(_NAMES[:2])
    assert "2 of 2 instances (first: instance-1)" in str(caught.value)


def test_an_application_that_listens_on_ipv6_only_is_seen(host: NetnsHost) -> None:
    """A dual-stack socket counts as listening."""
    code = (
        "import socket,time\n"
        "s=socket.socket(socket.AF_INET6); s.bind(('::',8080)); s.listen(); time.sleep(100)"
    )
    assert len(ProcessEngine(host, _command(code), 1).start(["instance-1"])) == 1


def test_a_killed_nursery_is_told(host: NetnsHost) -> None:
    """When the process that instances come from has gone, the next question says so."""
    engine = ProcessEngine(host, Application(), 1)
    engine.start(["instance-1"])
    host.run(["kill", "-9", _pids(host)[0]])
    with pytest.raises(EngineError, match="has gone: it was killed"):
        engine.died()


def test_an_instance_lives_in_namespaces_of_its_own(host: NetnsHost) -> None:
    """Network and host name are the instance's, as in a container."""
    ProcessEngine(host, Application(), 2).start(["instance-1", "instance-2"])
    namespaces = {host.run(["readlink", f"/proc/{pid}/ns/net"]).stdout.strip() for pid in _pids(host)}
    assert len(namespaces) == 3
    assert str(Path("/proc/self/ns/net").readlink()) not in namespaces

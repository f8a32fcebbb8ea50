"""The process engine: real processes in namespaces of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.base import Change, Version
from harness.engines.process import ProcessEngine
from harness.engines.workload import Workload
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.hosts.netns import NetnsHost
    from harness.types import Placement

_NAMES = ["instance-1", "instance-2", "instance-3"]
_ASK = (
    "import socket,sys\n"
    "s=socket.create_connection((sys.argv[1],int(sys.argv[2])),5)\n"
    "s.sendall(b'GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n')\n"
    "print(s.recv(1000).decode().splitlines()[-1])"
)


def _command(code: str, **more: Any) -> Workload:
    return Workload(command=(sys.executable, "-c", code), most=3, **more)


def _ask(host: NetnsHost, address: str, port: int) -> str:
    return host.run([sys.executable, "-c", _ASK, address, str(port)]).stdout.strip()


def _pids(host: NetnsHost) -> list[str]:
    """List the forkserver and its instances, in the order of their start, as the host numbers them."""
    found = host.run(["sh", "-c", "grep -lsa harness.engines.[f]orkserver /proc/[0-9]*/cmdline"]).stdout
    return sorted((path.split("/")[2] for path in found.split()), key=int)


def test_instances_answer_with_their_names_and_count_what_they_served(host: NetnsHost) -> None:
    """Each instance is itself, behind an address of its own, and counts for itself."""
    engine = ProcessEngine(host, Workload(most=3))
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
    engine = ProcessEngine(host, Workload(most=1))
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
    engine = ProcessEngine(host, _command(code, port=9000, env={"EXTRA": "yes"}))
    members = engine.start(["instance-1", "instance-2"])
    assert _ask(host, members[1].address, 9000) == "instance-2 9000 yes instance-2"
    assert engine.served() is None


def test_an_instance_that_dies_at_start_is_reported_with_its_last_words(host: NetnsHost) -> None:
    """The user sees why the application did not start."""
    code = "import sys; print('line one\\nno database\\x1b[31m', file=sys.stderr); sys.exit(3)"
    with pytest.raises(EngineError) as caught:
        ProcessEngine(host, _command(code)).start(_NAMES)
    assert "died (exit status 3): line one | no database?[31m" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_instance_that_gets_no_namespaces_is_told_with_the_limit(host: NetnsHost) -> None:
    """A real limit, set inside: the host and the client side have two networks, one instance a third."""
    host.run(["sh", "-c", "echo 3 > /proc/sys/user/max_net_namespaces"])
    with pytest.raises(
        EngineError, match=r"instance-\d died .*No space left on device; see .*user.max_"
    ) as caught:
        ProcessEngine(host, Workload(most=3)).start(_NAMES)
    assert "\n" not in str(caught.value)


def test_a_command_that_does_not_exist_is_named(host: NetnsHost) -> None:
    """A mistyped command is an instance that dies at start."""
    with pytest.raises(EngineError, match=r"FileNotFoundError.*application: no-such-command"):
        ProcessEngine(host, Workload(command=("no-such-command",))).start(["instance-1"])


def test_an_application_that_never_listens_is_given_up(host: NetnsHost) -> None:
    """The deadline is the scenario's, and the ports on which it does listen are named."""
    code = "import socket,time; s=socket.create_server(('',8111)); time.sleep(100)"
    with pytest.raises(
        EngineError, match=r"never listened on port 9 within 0.5 s \(listening on: 8111"
    ) as caught:
        ProcessEngine(host, _command(code, port=9, start_timeout_ns=500_000_000)).start(_NAMES[:2])
    assert "2 of 2 instances (first: instance-1)" in str(caught.value)


def test_an_application_that_listens_on_ipv6_only_is_seen(host: NetnsHost) -> None:
    """A dual-stack socket counts as listening."""
    code = (
        "import socket,time\n"
        "s=socket.socket(socket.AF_INET6); s.bind(('::',8080)); s.listen(); time.sleep(100)"
    )
    assert len(ProcessEngine(host, _command(code)).start(["instance-1"])) == 1


def test_a_killed_forkserver_is_told(host: NetnsHost) -> None:
    """When the process that instances come from has gone, the next question says so."""
    engine = ProcessEngine(host, Workload(most=1))
    engine.start(["instance-1"])
    host.run(["kill", "-9", _pids(host)[0]])
    with pytest.raises(EngineError, match="has gone: it was killed"):
        engine.died()


def test_an_instance_lives_in_namespaces_of_its_own(host: NetnsHost) -> None:
    """Network and host name are the instance's, as in a container."""
    ProcessEngine(host, Workload(most=2)).start(["instance-1", "instance-2"])
    namespaces = {host.run(["readlink", f"/proc/{pid}/ns/net"]).stdout.strip() for pid in _pids(host)}
    assert len(namespaces) == 3
    assert str(Path("/proc/self/ns/net").readlink()) not in namespaces


def test_a_killed_instance_is_no_accident(host: NetnsHost) -> None:
    """Its counts stay, nobody is told that it died, and others go on."""
    engine = ProcessEngine(host, Workload(most=3))
    first, second, _ = engine.start(_NAMES)
    _ask(host, second.address, second.port)
    engine.end(["instance-2", "instance-3"], kill=True)
    assert engine.died() == []
    assert len(_pids(host)) == 2
    assert _ask(host, first.address, first.port) == "Hello from instance-1"
    assert [count.requests for count in engine.served() or ()] == [1, 1, 0]


@pytest.mark.parametrize("placement", ["own", "sandbox", "host"])
def test_instances_come_later_and_come_again(host: NetnsHost, placement: Placement) -> None:
    """Whoever comes again has its address and its place among the counters, where it goes on counting."""
    engine = ProcessEngine(host, Workload(most=3), placement)
    first, second = engine.start(_NAMES[:2])
    engine.end(["instance-1"], kill=True)
    (third,) = engine.start(["instance-3"], weights={"instance-3": 4})
    assert third.weight == 4
    engine.end(["instance-2", "instance-3"], kill=False)
    (again,) = engine.start(["instance-2"])
    assert again == second
    assert (again.address == first.address) == (placement != "own")
    for _ in range(3):
        assert _ask(host, again.address, again.port) == "Hello from instance-2"
    engine.end(["instance-2"], kill=True)
    (again,) = engine.start(["instance-2"])
    _ask(host, again.address, again.port)
    assert [count.requests for count in engine.served() or ()] == [0, 4, 0]


def test_watcher_learns_of_ends_and_of_listening_instances(host: NetnsHost) -> None:
    """An accident as well as an event; whoever starts is told of when it listens, with its address."""
    engine = ProcessEngine(host, Workload(most=3))
    engine.start(_NAMES[:2])
    changes = engine.changes()
    told = iter(changes)
    engine.end(["instance-1"], kill=True)
    assert next(told) == Change("instance-1")
    (member,) = engine.start(["instance-3"])
    assert next(told) == Change("instance-3", member)
    host.run(["kill", "-9", _pids(host)[1]])
    assert next(told) == Change("instance-2")
    changes.close()
    assert list(told) == []
    engine.end(["instance-3"], kill=True)  # nobody listens to that any more
    assert engine.died() == ["instance-2 died (killed by SIGKILL): it said nothing"]


def test_a_frozen_instance_answers_when_it_goes_on(host: NetnsHost) -> None:
    """All of its processes stand still; the kernel still takes connections for it."""
    engine = ProcessEngine(host, Workload(most=1))
    (member,) = engine.start(["instance-1"])
    engine.freeze(["instance-1"], frozen=True)
    status = f"/proc/{_pids(host)[-1]}/status"
    assert "State:\tT (stopped)" in host.run(["cat", status]).stdout
    engine.freeze(["instance-1"], frozen=False)
    assert _ask(host, member.address, member.port) == "Hello from instance-1"
    engine.freeze(["instance-1"], frozen=True)
    engine.end(["instance-1"], kill=False)
    assert len(_pids(host)) == 1


def test_instances_are_told_to_fail_and_to_do_so_no_more(host: NetnsHost) -> None:
    """By a word in memory that they share; one that comes again has forgotten it."""
    engine = ProcessEngine(host, Workload(most=2))
    members = engine.start(_NAMES[:2])
    engine.degrade(["instance-2"], fail=1, slow_ns=1_000_000)
    failed = (
        "s.sendall(b'GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n')\nprint(s.recv(1000)[9:12].decode())"
    )
    code = f"import socket,sys\ns=socket.create_connection((sys.argv[1],8080),5)\n{failed}"

    def statuses() -> list[str]:
        return [host.run([sys.executable, "-c", code, member.address]).stdout.strip() for member in members]

    assert statuses() == ["200", "500"]
    engine.degrade(["instance-2"], fail=0)
    assert statuses() == ["200", "200"]
    engine.degrade(["instance-2"], fail=1)
    engine.end(["instance-2"], kill=True)
    engine.start(["instance-2"])
    assert statuses() == ["200", "200"]


def test_a_version_has_an_environment_of_its_own(host: NetnsHost) -> None:
    """Beside what all have; a command may be another one."""
    code = (
        "import os,socket\n"
        "text=' '.join(os.environ.get(key,'-') for key in ('INSTANCE','VERSION','A','B'))\n"
        "s=socket.create_server(('',int(os.environ['PORT'])))\n"
        "while True:\n"
        "    c,_=s.accept(); c.recv(1000); c.sendall(text.encode()); c.close()\n"
    )
    engine = ProcessEngine(host, Workload(env={"A": "all"}, most=2))
    engine.start(["instance-1"])
    version = Version("green", command=(sys.executable, "-c", code), env={"B": "own"})
    (member,) = engine.start(["green-1"], version)
    assert _ask(host, member.address, member.port) == "green-1 green all own"


def test_children_of_an_instance_end_with_it(host: NetnsHost) -> None:
    """As all of a container's processes do; whoever does not end when it is asked to is killed."""
    code = (
        "import os,signal,socket,time\n"
        "s=socket.create_server(('',8080))\n"
        "if os.fork() == 0: time.sleep(100)\n"
        "time.sleep(100)\n"
    )
    engine = ProcessEngine(host, _command(code))
    engine.start(["instance-1"])
    sleepers = "grep -lsa time.slee[p] /proc/[0-9]*/cmdline"
    _until(lambda: len(host.run(["sh", "-c", sleepers]).stdout.split()) == 2)
    engine.end(["instance-1"], kill=False)
    _until(lambda: not host.run(["sh", "-c", sleepers]).stdout)
    assert engine.died() == []


def _until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_the_time_of_those_who_have_ended_is_counted(host: NetnsHost) -> None:
    """What an instance has cost does not go with it."""
    code = (
        "import socket,time\n"
        "while time.process_time() < 0.3: pass\n"
        "s=socket.create_server(('',8080)); time.sleep(100)\n"
    )
    engine = ProcessEngine(host, _command(code))
    engine.start(["instance-1"])
    engine.end(["instance-1"], kill=True)
    assert host.cpu_ns()["instances"] >= 300_000_000

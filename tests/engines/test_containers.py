"""The engine of containers itself: what a container may do, how many start at a time, what is counted."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.base import Change, Version
from harness.engines.container_host import ContainedHost
from harness.engines.containers import ContainerEngine, Images
from harness.engines.daemons import DAEMONS, Daemon
from harness.engines.docker_api import Containers, Plan
from harness.engines.workload import Limits
from harness.errors import EngineError, HarnessError
from harness.hosts.address_plan import IPV4
from harness.hosts.netns import NetnsHost
from harness.images import Cache
from harness.runner.setup import make_engine
from harness.scenario import load_scenario
from harness.types import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.images import CachedImage

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]
_NET_BIND_SERVICE = 1 << 10  # linux/capability.h


@pytest.fixture(scope="module")
def sample() -> CachedImage:
    """Give the sample's image, made if it is not there."""
    return Cache().require("sample", lambda _: None)


@pytest.fixture(scope="module", params=["docker", "podman"])
def parts(
    request: pytest.FixtureRequest, sample: CachedImage
) -> Iterator[tuple[NetnsHost, Daemon, Containers]]:
    """Give a host, an engine on it, and its containers, with a network and the sample's image."""
    with NetnsHost("external", privileged=True) as host:
        host.start()
        host.link()
        daemon = DAEMONS[request.param](host)
        daemon.start()
        daemon.wait()
        made = Containers(host, daemon)
        made.load([sample])
        made.make_network(IPV4.containers)
        yield host, daemon, made


@pytest.fixture(scope="module")
def containers(parts: tuple[NetnsHost, Daemon, Containers]) -> Containers:
    """Give the containers of an engine."""
    return parts[2]


@pytest.fixture
def waiting(sample: CachedImage, request: pytest.FixtureRequest) -> Plan:
    """Plan a container that does nothing."""
    name = f"test-{abs(hash(request.node.name))}"
    return Plan(name=name, image=sample.reference, entrypoint=("sleep",), command=("infinity",))


def _status(containers: Containers, plan: Plan) -> dict[str, str]:
    """Start a container, and ask the kernel what its process may do."""
    _, told, _ = containers.run(containers.start(plan), ["cat", "/proc/1/status"])
    return dict(line.split(":\t", 1) for line in told.splitlines())


def test_a_container_has_no_privileges_that_it_does_not_need(containers: Containers, waiting: Plan) -> None:
    """No capability at all, and no way to more."""
    status = _status(containers, waiting)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_a_low_port_takes_one_capability(containers: Containers, waiting: Plan) -> None:
    """On the host's own network, where the kernel asks for it."""
    plan = Plan(**(vars(waiting) | {"low_port": True, "network": "host"}))
    assert int(_status(containers, plan)["CapEff"], 16) == _NET_BIND_SERVICE


def test_the_root_file_system_can_not_be_written_to(containers: Containers, waiting: Plan) -> None:
    """Only its own /tmp can; somebody else's image may need more."""
    container = containers.start(waiting)
    assert containers.run(container, ["touch", "/tmp/mine"])[0] == 0  # noqa: S108  the container's own
    status, _, words = containers.run(container, ["touch", "/mine"])
    assert (status, "Read-only" in words) == (1, True)


def test_limits_are_the_kernels(containers: Containers, waiting: Plan) -> None:
    """Processor cores, memory and processes, as the control group has them."""
    plan = Plan(**(vars(waiting) | {"limits": Limits(cpus=0.5, memory_bytes=64 << 20)}))
    container = containers.start(plan)
    lines = [
        line.split(":", 2)
        for line in Path(f"/proc/{_outside(containers, container.pid)}/cgroup").read_text().splitlines()
    ]
    groups = {name: path for _, names, path in lines for name in names.split(",")}

    def read(controller: str, old: str, new: str) -> str:
        if controller in groups:
            return Path(f"/sys/fs/cgroup/{controller}{groups[controller]}/{old}").read_text().strip()
        return Path(f"/sys/fs/cgroup{groups['']}/{new}").read_text().strip()

    assert read("memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert read("pids", "pids.max", "pids.max") == "512"
    assert read("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"


def _outside(containers: Containers, inside: int) -> int:
    """Find the number that a process of the host has on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        if len(numbers) > 1 and int(numbers[-2 if len(numbers) > 2 else -1]) == inside:
            space = (process / "ns/mnt").readlink()
            if space != Path("/proc/self/ns/mnt").readlink():
                return int(process.name)
    raise AssertionError(f"{inside} of {containers} is not there")


def test_a_clash_of_names_is_told(containers: Containers, waiting: Plan) -> None:
    """In the engine's own words, in a line."""
    containers.start(waiting)
    with pytest.raises(EngineError, match=r"refused when test-\d+ is started: .*in use") as refused:
        containers.start(waiting)
    assert "\n" not in str(refused.value)


def test_an_image_that_is_not_there_is_told(containers: Containers, waiting: Plan) -> None:
    """Nothing is pulled: there is no way out."""
    with pytest.raises(EngineError, match=r"(?i)no such image"):
        containers.start(Plan(**(vars(waiting) | {"image": "sameport/nobody:1"})))


def _engine(host: NetnsHost, folder: Path, text: str, sample: CachedImage) -> ContainerEngine:
    file = folder / "x.yaml"
    file.write_text(text)
    scenario = load_scenario(file)
    strategy = scenario.strategy.made()
    made = make_engine(scenario, host, strategy, Images(sample))
    assert isinstance(made, ContainerEngine)
    made.prepare()
    return made


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_instances_start_side_by_side_and_count_for_themselves(
    engine: str, sample: CachedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at a time are asked of the engine; each has an address and counts of its own."""
    under_way, most, lock = 0, 0, threading.Lock()
    start = Containers.start

    def watched(self: Containers, plan: Plan) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        try:
            return start(self, plan)
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(Containers, "start", watched)
    with NetnsHost("local", privileged=True) as host:
        host.start()
        host.link()
        made = _engine(host, tmp_path, f"strategy: dnat-random\nreplicas: 10\nengine: {engine}\n", sample)
        names = [f"instance-{k}" for k in range(1, 11)]
        members = made.start(names)
        assert most == 8
        assert [member.name for member in members] == names
        assert len({member.address for member in members}) == 10
        first, second = members[:2]
        for member, times in ((first, 3), (second, 1)):
            for _ in range(times):
                ask = f"import urllib.request as r; print(r.urlopen('http://{member.address}:8080').read())"
                assert member.name in host.run(["python3", "-c", ask]).stdout
        served = made.served()
        assert served is not None
        assert [(count.connections, count.requests) for count in served[:3]] == [(3, 3), (1, 1), (0, 0)]
        assert made.died() == []
        made.containers.client.kill(made._instances["instance-3"].id)
        with ThreadPoolExecutor(1) as waiting:
            waiting.submit(made.containers.client.wait, made._instances["instance-3"].id).result(30)
        assert made.died() == ["instance-3 ended (exit status 137): it said nothing"]
        assert made.exposure(Endpoint(host.address, 80)) == (host, Endpoint(host.address, 80))


def _asked(host: NetnsHost, address: str) -> str:
    """Ask an instance, and give status, version and body."""
    code = (
        "import http.client,sys\n"
        "c=http.client.HTTPConnection(sys.argv[1],8080,timeout=5); c.request('GET','/'); a=c.getresponse()\n"
        "print(a.status,a.getheader('X-Version'),a.read().decode().strip())"
    )
    return host.run(["python3", "-c", code, address]).stdout.strip()


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_instances_come_later_come_again_freeze_and_fail(
    engine: str, sample: CachedImage, tmp_path: Path
) -> None:
    """As processes do: whoever follows is told, counts go on, and a version has its own environment."""
    text = (
        f"strategy: dnat-random\nreplicas: 1\nengine: {engine}\n"
        "events: [{at: 1s, start: 1}, {at: 2s, replace: 1, with: green, style: canary}]\n"
    )
    with NetnsHost("local", privileged=True) as host:
        host.start()
        host.link()
        made = _engine(host, tmp_path, text, sample)
        (first,) = made.start(["instance-1"])
        changes = made.changes()
        told = iter(changes)
        (second,) = made.start(["instance-2"], weights={"instance-2": 2})
        assert next(told) == Change("instance-2", second)
        assert second.weight == 2
        made.degrade(["instance-2"], fail=1, slow_ns=1_000_000)
        assert _asked(host, first.address) == "200 None Hello from instance-1"
        assert _asked(host, second.address) == "500 None Hello from instance-2"
        made.freeze(["instance-2"], frozen=True)
        made.end(["instance-2"], kill=True)  # a frozen one, too
        assert next(told) == Change("instance-2")
        (again,) = made.start(["instance-2"])
        assert next(told) == Change("instance-2", again)
        assert _asked(host, again.address) == "200 None Hello from instance-2"
        (green,) = made.start(["green-1"], Version("green", env={"A": "b"}))
        assert next(told) == Change("green-1", green)
        assert _asked(host, green.address) == "200 green Hello from green-1"
        assert [count.requests for count in made.served() or ()] == [1, 2, 1]
        assert made.died() == []
        changes.close()


def test_all_that_a_program_says_is_heard_on_a_busy_machine(
    parts: tuple[NetnsHost, Daemon, Containers], sample: CachedImage
) -> None:
    """Status, output and errors, of programs that run side by side: Podman's own stream would lose some."""
    host, daemon, containers = parts
    place = f"/run/sameport/busy-{daemon.name}"
    host.write(f"{place}/there", "")
    contained = ContainedHost(host, daemon, containers, sample.reference, [place], 80, Limits())
    busy = [host.serve(f"busy-{k}", ["sh", "-c", "while :; do :; done"]) for k in range(6)]
    heard = [contained.run(["sh", "-c", 'echo "$0"; nproc; echo bad >&2; exit 7', f"{k}"]) for k in range(60)]
    for one in busy:
        one.stop()
    assert [one.status for one in heard] == [7] * 60
    assert [one.stdout.split("\n", 1)[0] for one in heard] == [f"{k}" for k in range(60)]
    assert {len(one.stdout.splitlines()) for one in heard} == {2}
    assert {one.stderr for one in heard} == {"bad\n"}


def test_a_program_that_is_missing_is_told_by_the_host(tmp_path: Path) -> None:
    """`harness.runner.setup` asks before; whoever does not, is told here."""
    with NetnsHost("external", privileged=True) as host:
        host.start()
        host.link()
        with pytest.raises(HarnessError, match="no-such-engine"):
            host.serve("no-such-engine", ["no-such-engine", str(tmp_path)], role="engine")

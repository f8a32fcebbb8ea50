"""What a dry run writes down is what a run does; nothing is carried out."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.common.channel import Channel, Message
from harness.errors import KernelLacksError, RefusedError
from harness.hosts.address_plan import IPV4, Clients
from harness.plan.dry_run import Instances, Machine, Remark, Step, members_of, provisioned
from harness.scenario import load_scenario
from harness.strategies import find_strategy, strategy_names
from harness.strategies.actions import Command, File, Served, Spawned, Told
from harness.strategies.nginx import NGINX_MODULES
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Finished, Program, Service
    from harness.hosts.netns import NetnsHost
    from harness.scenario import Scenario
    from harness.types import Role, Side
    from tests.strategies.conftest import Lab

_CHOICES = [
    *(name for name in strategy_names() if find_strategy(name).runs_on("process")),
    "nginx, discovery: dns",
    "nginx, policy: p2c, workers: 3, health_checks: true",
    "nginx-stream, discovery: dns",
    "haproxy, discovery: dns",
    "haproxy-tcp, discovery: api, policy: consistent-hash, base_weight: 20",
    "envoy, discovery: dns",
    "envoy, discovery: file, policy: maglev",
    "traefik, discovery: file, workers: 2",
    "caddy, discovery: dns",
    "caddy, discovery: api, keep_alive: false",
    "kube-proxy-iptables, external_traffic_policy: local",
    "so-reuseport-bpf, policy: cpu",
]


class _OverheardChannel(Channel):
    def __init__(self, inner: Channel, steps: list[Step]) -> None:
        self._inner = inner
        self._steps = steps

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self._steps.append(Told(message))
        self._inner.send(message, fds)

    def receive(self, timeout_s: float | None = None) -> Message:
        return self._inner.receive(timeout_s)

    def close(self) -> None:
        self._inner.close()


class _OverheardProgram:
    def __init__(self, inner: Program, steps: list[Step]) -> None:
        self.channel = _OverheardChannel(inner.channel, steps)
        self.stderr_tail = inner.stderr_tail


class _Overheard:
    """A real host, and what is asked of it."""

    def __init__(self, host: NetnsHost) -> None:
        self.address, self.sources = host.address, host.sources
        self.published, self.resolver, self.engine_socket = host.published, host.resolver, ""
        self.steps: list[Step] = []
        self._host = host
        self.connect, self.attach, self.exposed = host.connect, host.attach, host.exposed
        self.dropped, self.died, self.cpu_ns = host.dropped, host.died, host.cpu_ns
        self.tcp = host.tcp

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        self.steps.append(Command(tuple(argv), text))
        return self._host.run(argv, text)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        self.steps.append(Spawned(tuple(argv)))
        return _OverheardProgram(self._host.spawn(argv, side, role, fds), self.steps)

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> Service:
        self.steps.append(Served(name, tuple(argv), tuple((env or {}).items())))
        return self._host.serve(name, argv, env, role)

    def write(self, path: str, text: str) -> None:
        self.steps.append(File(path, text))
        self._host.write(path, text)


# As the tests' host has them, whose clients have no scenario.
_AS_ON_A_HOST = "load: {sources: {count: 16, pattern: consecutive}}\n"


def _scenario(folder: Path, choice: str, *overrides: str) -> Scenario:
    name = choice.split(",", 1)[0]
    replicas = min(3, find_strategy(name).default_capabilities().most_members or 3)
    file = folder / "x.yaml"
    file.write_text(f"strategy: {{name: {choice}}}\nreplicas: {replicas}\n{_AS_ON_A_HOST}")
    return load_scenario(file, overrides)


def _as_on(host: _Overheard, steps: Sequence[Step]) -> list[Step]:
    """Put in what only the machine's own nginx can tell."""
    modules = [
        str(Path(step.argv[-1]).parent)
        for step in host.steps
        if isinstance(step, Command) and step.argv[:2] == ("test", "-e")
    ]
    where = modules[0] if modules else ""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Command):
            found.append(replace(step, argv=tuple(a.replace(NGINX_MODULES, where) for a in step.argv)))
        elif isinstance(step, File):
            found.append(replace(step, text=step.text.replace(NGINX_MODULES, where)))
        else:
            found.append(step)
    return found


@pytest.mark.parametrize("choice", _CHOICES)
def test_every_strategy_asks_a_real_host_for_just_what_was_planned(
    lab: Lab, tmp_path: Path, choice: str
) -> None:
    """Members, commands with their input, files, programs; where the plan ends early, questions follow."""
    scenario = _scenario(tmp_path, choice)
    strategy = scenario.made_strategy()
    machine, instances, *steps = provisioned(scenario)
    members = lab.start(scenario.replicas, strategy.can.placement)
    host = _Overheard(lab.host)
    with suppress(KernelLacksError, RefusedError):  # up to there, it has asked
        strategy.expose(host, ENDPOINT, members)
    assert machine == Machine("netns", ENDPOINT, "external", lab.host.sources[0], len(lab.host.sources))
    assert instances == Instances(tuple(members), strategy.can.placement, None)
    planned = _as_on(host, [step for step in steps if not isinstance(step, Remark)])
    assert host.steps[: len(planned)] == planned
    rest = host.steps[len(planned) :]
    assert not rest or isinstance(steps[-1], Remark)
    assert all(isinstance(step, Command) and not step.text for step in rest)


@pytest.mark.parametrize("name", ["dnat-random", "kube-proxy-iptables"])
def test_a_cascade_that_needs_further_chains_is_planned_with_them(
    host: NetnsHost, tmp_path: Path, name: str
) -> None:
    """Six hundred rules are more than one transaction; the plan has each of them as a run does."""
    scenario = (
        _scenario(tmp_path, name, "replicas=600", "weights={instance-7: 3}")
        if name == "dnat-random"
        else (_scenario(tmp_path, name, "replicas=600"))
    )
    _, instances, *steps = provisioned(scenario)
    assert isinstance(instances, Instances)
    overheard = _Overheard(host)
    scenario.strategy.made().expose(overheard, ENDPOINT, instances.members)
    assert overheard.steps == steps
    assert sum(isinstance(step, Command) and "-j DNAT" in step.text for step in steps) > 1


def test_plan_reports_a_refusal_at_its_place(tmp_path: Path) -> None:
    """The second instance finds the port taken, as it does in a run."""
    *steps, last = provisioned(_scenario(tmp_path, "publish", "replicas=2"))
    assert [type(step) for step in steps[2:]] == [Spawned, Told, Spawned, Told]
    assert isinstance(last, Remark)
    assert "instance-2: bind for 0.0.0.0:80 failed: port is already allocated" in last.text


def test_clients_and_instances_are_where_the_scenario_says(tmp_path: Path) -> None:
    """Other ports, sources, names and weights, and more instances than one bridge has ports."""
    overrides = ("client=local", "port=8000", "load.sources=3", "application.port=9000")
    scenario = _scenario(tmp_path, "dnat-random", *overrides, "replicas=2", "weights={a: 9, b: 1}")
    machine, instances, *_ = provisioned(scenario)
    assert isinstance(machine, Machine)
    assert isinstance(instances, Instances)
    first = IPV4.sources("local", Clients(3, "scattered"))[0]
    assert (machine.endpoint.port, machine.first_source, machine.sources) == (8000, first, 3)
    assert [(m.name, m.address, m.port, m.weight) for m in instances.members] == [
        ("a", "198.19.0.2", 9000, 9),
        ("b", "198.19.0.3", 9000, 1),
    ]
    many = members_of(_scenario(tmp_path, "dnat-random", "replicas=1001"), "own")
    assert many[1000].address == "198.19.4.2"


_WATCHED = """
import os, sys
from pathlib import Path
from harness.plan.dry_run import provisioned
from harness.report.plan import plan_text
from harness.scenario import load_scenario
from harness.strategies import find_strategy, strategy_names

FORBIDDEN = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.mkdir", "os.rename",
             "os.remove", "socket.connect", "socket.bind", "socket.send")

def watch(event, arguments):
    if event.startswith(FORBIDDEN) or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        raise SystemExit(f"{event} {arguments}")

loaded = []
for text in sys.argv[2:]:
    file = Path(sys.argv[1], "x.yaml")
    file.write_text(text)
    loaded.append(load_scenario(file))
sys.addaudithook(watch)
for scenario in loaded:
    text = plan_text(provisioned(scenario))
    sys.stdout.write(f"{scenario.strategy.name} {len(text.splitlines())}\\n")
"""


def test_planning_executes_nothing_and_writes_nothing(
    ordinary_user: tuple[str, ...], public_tmp_path: Path
) -> None:
    """Python's own audit events see to it, for an ordinary user, on whose path there is no program at all."""
    public_tmp_path.chmod(0o777)
    texts = []
    for choice in _CHOICES:
        replicas = min(3, find_strategy(choice.split(",", 1)[0]).default_capabilities().most_members or 3)
        texts.append(f"strategy: {{name: {choice}}}\nreplicas: {replicas}\n")
    finished = subprocess.run(
        [
            *ordinary_user,
            "env",
            "PATH=/nowhere",
            sys.executable,
            "-B",
            "-c",
            _WATCHED,
            str(public_tmp_path),
            *texts,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd="/",
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    told = [line.split() for line in finished.stdout.splitlines()]
    assert [name for name, _ in told] == [choice.split(",", 1)[0] for choice in _CHOICES]
    assert all(int(lines) >= 4 for _, lines in told)

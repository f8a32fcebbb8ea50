"""What works on this machine and what is missing, found out by trying it on a throw-away host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from harness.engines import engine_kinds
from harness.engines.kind import PROCESS
from harness.engines.process import ProcessEngine
from harness.engines.workload import Workload
from harness.errors import HarnessError, KernelLacksError, RefusedError
from harness.hosts.netns import NetnsHost, find_program, may_map_everyone
from harness.strategies import find_strategy, strategy_names
from harness.types import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from harness.engines.kind import EngineKind
    from harness.strategies.base import Strategy
    from harness.types import Member, Placement

# Instances on the host's own network occupy their endpoint; proxies need one that is free.
_PORTS: dict[Placement, int] = {"own": 80, "host": 81, "sandbox": 80}

State = Literal["works", "missing", "lacking"]

MEANINGS: Final[dict[State, str]] = {
    "works": "tried just now",
    "missing": "can be installed, or a part that it needs can",
    "lacking": "this kernel or user does not allow it, or a large program is absent; the rest works",
}
"""What each state in the table means."""

_APT: Final = "apt-get install "


@dataclass(frozen=True)
class Finding:
    """One part, and how it is.

    Attributes
    ----------
    state
        As `MEANINGS` says.
    detail
        What works, or why it does not.
    mend
        The command that installs it; empty where none does.
    """

    kind: str
    name: str
    state: State
    detail: str
    mend: str = ""


def to_install(findings: Iterable[Finding]) -> list[str]:
    """Give the commands that install all that is missing: one of apt for all packages, then the others."""
    commands = {part for finding in findings if finding.mend for part in finding.mend.split(" && ")}
    apt = {command for command in commands if _APT in command}
    packages = sorted({package for command in apt for package in command.partition(_APT)[2].split()})
    together = [f"sudo {_APT}{' '.join(packages)}"] if packages else []
    return together + sorted(commands - apt)


def examine() -> Iterator[Finding]:
    """Try every host, engine and strategy, one after another."""
    with NetnsHost("external") as host:
        members: dict[Placement, list[Member]] = {}

        def make() -> None:
            host.start()
            host.link()

        def start() -> None:
            for placement, port in _PORTS.items():
                engine = ProcessEngine(host, Workload(most=2, endpoint_port=port), placement)
                members[placement] = engine.start([f"{placement}-1", f"{placement}-2"])

        made = _tried("host", "netns", "namespaces and links can be made", make)
        yield made
        if made.state != "works":
            yield Finding("engine", PROCESS.name, "missing", "needs host netns")
        else:
            yield _tried("engine", PROCESS.name, "instances start and listen", start)
        able = {PROCESS.name} if members else set()
        for kind in engine_kinds():
            if kind.name != PROCESS.name:
                found = _engine(kind)
                able |= {kind.name} if found.state == "works" else set()
                yield found
        yield _virtual_machine()
        for name in strategy_names():
            yield _strategy(name, host, members, able)


def _virtual_machine() -> Finding:
    """Say what would run a virtual machine; none is brought up, which takes minutes."""
    from harness.hosts.vm.providers import choose

    try:
        provider = choose()
    except HarnessError as error:
        # A machine without one is as good as any for all other hosts.
        return Finding("host", "vagrant", "lacking", str(error))
    return Finding("host", "vagrant", "works", f"{provider.name}: {provider.why}")


def _engine(kind: EngineKind) -> Finding:
    name, probe = kind.name, kind.probe
    missing = {program: install for program, install in kind.commands.items() if not find_program(program)}
    if missing:
        mend = " && ".join(sorted({_as_root(install) for install in missing.values()}))
        return Finding("engine", name, "missing", f"{', '.join(missing)} not found", mend)
    if kind.privileged and not may_map_everyone():
        return Finding("engine", name, "lacking", "containers on host netns need root: sudo harness doctor")
    if probe is None:
        return Finding("engine", name, "works", "its programs are there")

    def start() -> None:
        with NetnsHost("external", privileged=kind.privileged) as host:
            host.start()
            host.link()
            probe(host)

    return _tried("engine", name, "starts and answers", start)


def _tried(kind: str, name: str, good: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except KernelLacksError as error:
        return Finding(kind, name, "lacking", str(error))
    except HarnessError as error:
        return Finding(kind, name, "missing", str(error))
    return Finding(kind, name, "works", good)


def _strategy(
    name: str, host: NetnsHost, members: dict[Placement, list[Member]], able: AbstractSet[str]
) -> Finding:
    try:
        strategy = find_strategy(name)
    except HarnessError as error:
        return Finding("strategy", name, "missing", str(error))
    if not strategy.runs_on(PROCESS.name):
        engines = " or ".join(sorted(strategy.engines or ()))
        state: State = "works" if any(map(strategy.runs_on, able)) else "lacking"
        return Finding("strategy", name, state, f"{strategy.summary} (on engine {engines})")
    missing = {
        program: install for program, install in strategy.commands.items() if not find_program(program)
    }
    if missing:
        mend = " && ".join(sorted({_as_root(install) for install in missing.values()}))
        return Finding("strategy", name, "missing", f"{', '.join(missing)} not found", mend)
    if strategy.default_capabilities().placement not in members:
        return Finding("strategy", name, "missing", "needs engine process")
    return _tried("strategy", name, strategy.summary, lambda: _expose(strategy, host, members))


def _as_root(install: str) -> str:
    return f"sudo {install}" if install.startswith(_APT) else install


def _expose(strategy: type[Strategy], host: NetnsHost, members: dict[Placement, list[Member]]) -> None:
    able = strategy.default_capabilities()
    endpoint = Endpoint(host.address, _PORTS[able.placement])
    tried = strategy(strategy.options_model())
    some = members[able.placement][: able.most_members]
    try:
        tried.expose(host, endpoint, some)
    except RefusedError:
        # It does not take several, and said so: that is how it works.
        tried.expose(host, endpoint, some[:1])
    tried.withdraw(host, endpoint)

"""What works on this machine and what is missing, found out by trying it on a throw-away host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.process import ProcessEngine
from harness.errors import HarnessError
from harness.hosts.netns import NetnsHost, find_program
from harness.scenario import Application
from harness.strategies import find_strategy, strategy_names
from harness.strategies.base import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.strategies.base import Member, Strategy


@dataclass(frozen=True)
class Finding:
    """One part: whether it works; if not, why, and the command that would mend it."""

    kind: str
    name: str
    works: bool
    detail: str
    mend: str = ""


def examine() -> Iterator[Finding]:
    """Try every host, engine and strategy, one after another."""
    with NetnsHost("external") as host:
        members: list[Member] = []

        def make() -> None:
            host.start()
            host.link()

        def start() -> None:
            members.extend(ProcessEngine(host, Application(), 2).start(["instance-1", "instance-2"]))

        made = _tried("host", "netns", "namespaces and links can be made", make)
        yield made
        if not made.works:
            yield Finding("engine", "process", works=False, detail="needs host netns")
        else:
            yield _tried("engine", "process", "instances start and listen", start)
        for name in strategy_names():
            yield _strategy(name, host, members)


def _tried(kind: str, name: str, good: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except HarnessError as error:
        return Finding(kind, name, works=False, detail=str(error))
    return Finding(kind, name, works=True, detail=good)


def _strategy(name: str, host: NetnsHost, members: list[Member]) -> Finding:
    try:
        strategy = find_strategy(name)
    except HarnessError as error:
        return Finding("strategy", name, works=False, detail=str(error))
    missing = {
        program: install for program, install in strategy.commands.items() if not find_program(program)
    }
    if missing:
        mend = " && ".join(sorted(set(missing.values())))
        return Finding("strategy", name, works=False, detail=f"{', '.join(missing)} not found", mend=mend)
    if not members:
        return Finding("strategy", name, works=False, detail="needs engine process")
    return _tried("strategy", name, strategy.summary, lambda: _expose(strategy, host, members))


def _expose(strategy: type[Strategy], host: NetnsHost, members: list[Member]) -> None:
    endpoint = Endpoint(host.address, 80)
    tried = strategy(strategy.options_model())
    tried.expose(host, endpoint, members)
    tried.withdraw(host, endpoint)

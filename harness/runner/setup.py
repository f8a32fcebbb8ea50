"""What a scenario names, made: its host, its engine with the images, and what both need here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from harness.engines import ENGINES
from harness.errors import EngineError, StrategyError
from harness.hosts import HOSTS
from harness.hosts.netns import NetnsHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.engines.base import Engine
    from harness.engines.containers import Images
    from harness.hosts.vm.vagrant import VagrantHost
    from harness.scenario import Scenario
    from harness.strategies.base import Strategy

    AnyHost: TypeAlias = NetnsHost | VagrantHost


def make_host(scenario: Scenario, tell: Callable[[str], None], *, keep: bool = False) -> AnyHost:
    """Make the host of a scenario; nothing of it is there until it is started.

    Parameters
    ----------
    scenario
        What is to run on it.
    tell
        Receives a line about each long step.
    keep
        Whether a virtual machine is to be left up.

    Raises
    ------
    HostError
        This machine can't have such a host; the message says why, and what to do.
    """
    if scenario.host == "vagrant":
        from harness.hosts.vm.vagrant import VagrantHost  # noqa: PLC0415  on first use

        return VagrantHost(scenario.client, scenario.clients(), keep=keep, tell=tell)
    privileged = ENGINES.find(scenario.engine).privileged
    return NetnsHost(scenario.client, scenario.clients(), privileged=privileged)


@contextmanager
def one_machine(hosts: Iterable[str], tell: Callable[[str], None], *, keep: bool) -> Iterator[None]:
    """Have all runs meanwhile, if they ask to keep it, use one virtual machine; then end it.

    Parameters
    ----------
    hosts
        The scenarios' hosts.
    tell
        Receives a line about each long step.
    keep
        Whether to leave it up for other commands. One that was up before is left in any case.
    """
    if all(HOSTS[host].here for host in hosts):
        yield
        return
    from harness.hosts.vm.machine import Machine  # noqa: PLC0415  on first use

    before = Machine.found()
    try:
        yield
    finally:
        if keep:
            Machine.hand_over(tell)
        elif not before:
            Machine.clean(tell)


def require_programs(scenario: Scenario, strategy: Strategy, host: AnyHost) -> None:
    """See that the host has the programs of the engine and the strategy; images bring those of the latter.

    Raises
    ------
    EngineError, StrategyError
        One is missing; the message has the command that installs it.
    """
    where = "this machine" if HOSTS[scenario.host].here else "the virtual machine"
    hint = " (`harness doctor` shows what else is missing)" if HOSTS[scenario.host].here else ""
    engine = ENGINES.find(scenario.engine)
    for missing in host.missing(list(engine.commands)):
        install = engine.commands[missing]
        raise EngineError(
            f"engine {scenario.engine} needs {missing}, which is not on {where}: {install}{hint}"
        )
    if strategy.can.image and engine.images:
        return
    for missing in host.missing(list(strategy.commands)):
        install = strategy.commands[missing]
        raise StrategyError(
            f"strategy {strategy.name} needs {missing}, which is not on {where}: {install}{hint}"
        )


def find_images(scenario: Scenario, strategy: Strategy, tell: Callable[[str], None]) -> Images:
    """Get the images that a scenario needs, making those that are missing.

    Raises
    ------
    EngineError
        One can't be had; the message says where it was looked for, and what to do.
    """
    from harness.engines.containers import Images  # noqa: PLC0415  with the SDK, 0.2 s
    from harness.images import Cache  # noqa: PLC0415  as above
    from harness.images.catalogue import CATALOGUE  # noqa: PLC0415  as above

    cache = Cache()
    proxy = None
    if strategy.can.image:
        own = strategy.can.image in CATALOGUE
        proxy = (cache.require if own else cache.require_reference)(strategy.can.image, tell)
    releases = (event.application for event in scenario.events)
    named = {release.image for release in releases if release is not None and release.image}
    versions = {image: cache.require_reference(image, tell) for image in sorted(named)}
    reference = scenario.application.image
    if reference is None:
        return Images(cache.require("sample", tell), proxy=proxy, versions=versions)
    # A user's image may have no program that does nothing.
    sandbox = cache.require("sample", tell) if strategy.can.placement == "sandbox" else None
    return Images(cache.require_reference(reference, tell), sandbox, proxy, versions)


def make_engine(scenario: Scenario, host: AnyHost, strategy: Strategy, images: Images | None) -> Engine:
    """Make the engine on a host that has started."""
    kind = ENGINES.find(scenario.engine)
    return kind.make(host, scenario.workload(), strategy, images, own=HOSTS[scenario.host].here)

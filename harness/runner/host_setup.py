"""Choosing the host that a scenario names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from harness.engines import ENGINES
from harness.hosts import HOSTS
from harness.hosts.netns import NetnsHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.hosts.vm.vagrant import VagrantHost
    from harness.scenario import Scenario

    AnyHost: TypeAlias = NetnsHost | VagrantHost


def make_host(scenario: Scenario, tell: Callable[[str], None], *, keep: bool = False) -> AnyHost:
    """Make the host of a scenario; nothing of it is there until it is started.

    Parameters
    ----------
    scenario
        What is to run on it.
    tell
        Is told what takes long.
    keep
        Whether a virtual machine is to be left up.

    Raises
    ------
    HostError
        This machine can't have such a host; the message says why, and what to do.
    """
    if scenario.host == "vagrant":
        from harness.hosts.vm.vagrant import VagrantHost  # noqa: PLC0415  for those who need it

        return VagrantHost(scenario.client, scenario.load.sources, keep=keep, tell=tell)
    privileged = ENGINES.find(scenario.engine).privileged
    return NetnsHost(scenario.client, scenario.load.sources, privileged=privileged)


@contextmanager
def one_machine(hosts: Iterable[str], tell: Callable[[str], None], *, keep: bool) -> Iterator[None]:
    """Have all runs meanwhile, if they ask to keep it, use one virtual machine; then end it.

    Parameters
    ----------
    hosts
        The scenarios' hosts.
    tell
        Is told what takes long.
    keep
        Whether to leave it up for other commands. One that was up before is left in any case.
    """
    if all(HOSTS[host].here for host in hosts):
        yield
        return
    from harness.hosts.vm.machine import Machine  # noqa: PLC0415  for those who need it

    before = Machine.found()
    try:
        yield
    finally:
        if keep:
            Machine.hand_over(tell)
        elif not before:
            Machine.clean(tell)

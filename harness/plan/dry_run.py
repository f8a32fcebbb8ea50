"""What a run would set up, without a run: the strategy's own actions, listed and not carried out.

Each command is taken to succeed. Where the strategy goes by an answer, its question says what a host answers
that was just made. Where only a program could give it, the list ends, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines import ENGINES
from harness.errors import RefusedError
from harness.hosts import HOSTS
from harness.hosts.address_plan import IPV4
from harness.hosts.base import Finished
from harness.strategies.actions import (
    ByItself,
    Command,
    Facts,
    File,
    Hear,
    Look,
    Question,
    Served,
    Spawned,
    Told,
    WaitUntil,
)
from harness.strategies.executor import noted
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.scenario import Scenario
    from harness.strategies.actions import Action, Actions
    from harness.types import ClientSide, Placement


@dataclass(frozen=True)
class Machine:
    """The throw-away host, its endpoint, and where its clients are: their first address, and how many."""

    host: str
    endpoint: Endpoint
    client: ClientSide
    first_source: str
    sources: int
    pattern: str = "consecutive"


@dataclass(frozen=True)
class Instances:
    """What is started: `command`, or the sample where it is None."""

    members: tuple[Member, ...]
    placement: Placement
    command: tuple[str, ...] | None


@dataclass(frozen=True)
class Remark:
    """What has to be known of a step, or why there are no more."""

    text: str


Step = Machine | Instances | Command | File | Served | Spawned | Told | Remark


def provisioned(scenario: Scenario) -> list[Step]:
    """List what a run would set up, in order; nothing is carried out.

    Raises
    ------
    StrategyError
        A run would fail with it. That the strategy refuses so many members is a remark, and no error.
    """
    strategy = scenario.made_strategy()
    endpoint = Endpoint(HOSTS[scenario.host].address, scenario.port)
    members = members_of(scenario, strategy.can.placement)
    sources = IPV4.sources(scenario.client, scenario.clients())
    steps: list[Step] = [
        Machine(
            scenario.host,
            endpoint,
            scenario.client,
            sources[0],
            len(sources),
            scenario.load.sources.pattern,
        ),
        Instances(tuple(members), strategy.can.placement, scenario.application.command),
    ]
    if ENGINES.find(scenario.engine).images:
        words = "instances are containers: their addresses are the engine's to give, so others than these"
        if strategy.can.image:
            words += (
                f"; the strategy's programs run in a container of the image {strategy.can.image}, on the "
                f"instances' network, which publishes port {scenario.port}"
            )
        elif strategy.can.published:
            words += f"; the engine publishes port {scenario.port}, in place of all that follows"
        steps.append(Remark(words))
    return [*steps, *listed(strategy.exposing(Facts(), endpoint, members))]


def listed(actions: Actions[None]) -> Iterator[Step]:
    """List actions as they would be carried out on a host that was just made."""
    answer: Any = None
    while True:
        try:
            action = actions.send(answer)
        except StopIteration:
            return
        except RefusedError as error:
            yield Remark(f"here the strategy refuses: {error}")
            return
        if (asked := noted(action)) is not None:
            yield asked
        if end := _end(action):
            yield Remark(end)
            actions.close()
            return
        if remark := _remark(action):
            yield Remark(remark)
        answer = _answer(action)


def _end(action: Action) -> str:
    """Say why the list ends with this action; nothing where it goes on."""
    if isinstance(action, Question) and action.on_new_host is None:
        argv = action.command.argv
        name = argv[2] if len(argv) > 2 and argv[1] == "-m" else argv[0]
        return f"from here on a run goes by what {name} answers"
    if isinstance(action, Look):
        return f"from here on a run talks to the running program, at {action.place}"
    if isinstance(action, ByItself):
        return "what the strategy does from here on, only a run can tell: it is given the host itself"
    return ""


def _remark(action: Action) -> str:
    return action.remark if isinstance(action, Question | WaitUntil) else ""


def _answer(action: Action) -> Any:
    """Give what a new host would answer; of a service or a program that is started, nothing is known."""
    if isinstance(action, Command):
        return Finished(0, "", "")
    if isinstance(action, Question):
        told = action.on_new_host
        return Finished(0, told() if callable(told) else told or "", "")
    return action.on_new_host if isinstance(action, Hear) else None


def members_of(scenario: Scenario, placement: Placement) -> list[Member]:
    """Give the members that a run's engine would start, where they would listen."""
    port = scenario.port if placement == "host" else scenario.application.port
    members, routes = [], scenario.routes_by_instance()
    for position, (name, weight) in enumerate(scenario.instances().items()):
        own = {"own": position, "sandbox": 0}.get(placement)
        address = HOSTS[scenario.host].address if own is None else IPV4.instance(own)
        members.append(Member(name, address, port, weight, routes.get(name)))
    return members

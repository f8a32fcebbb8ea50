"""What a strategy asks of its host is noted while it exposes and updates, and at no other time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError, ResultError, StrategyError
from harness.plan.dry_run import Remark, listed
from harness.results.journal import APPLIED, Notes, read_applied
from harness.strategies import find_strategy
from harness.strategies.actions import Command, Facts, File, Served, Spawned, Told
from harness.strategies.base import Options, Strategy
from harness.strategies.executor import carry_out, facts_of
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.hosts.base import Host
    from harness.hosts.netns import NetnsHost
    from harness.strategies.actions import Actions, Asked
    from tests.conftest import Harness

ENDPOINT = Endpoint("198.18.37.99", 80)
MEMBERS = [Member("a", "198.19.0.2", 8080, 1), Member("b", "198.19.0.3", 8080, 1)]


def _made(name: str) -> Strategy:
    strategy = find_strategy(name)
    return strategy(strategy.options_model())


@pytest.mark.host
@pytest.mark.parametrize("name", ["dnat-random", "nft-random", "userland"])
def test_journal_keeps_what_the_plan_lists_and_what_an_update_asks(
    name: str, host: NetnsHost, tmp_path: Path
) -> None:
    """The same actions, in order, whoever hears of them."""
    strategy, notes = _made(name), Notes()
    carry_out(strategy.exposing(facts_of(host), ENDPOINT, MEMBERS), host, notes.during("expose"))
    carry_out(strategy.updating(facts_of(host), ENDPOINT, MEMBERS[:1]), host, notes.during("update"))
    strategy.withdraw(host, ENDPOINT)
    (tmp_path / APPLIED).write_text(notes.to_json())
    applied = read_applied(tmp_path)
    assert applied is not None
    exposed = [noted.step for noted in applied.steps if noted.during == "expose"]
    assert exposed == list(listed(_made(name).exposing(Facts(), ENDPOINT, MEMBERS)))
    assert len(applied.steps) > len(exposed) >= 1
    moments = [noted.at_s for noted in applied.steps]
    assert moments == sorted(moments)
    parts = [noted.during for noted in applied.steps]
    assert parts == sorted(parts)


def test_journal_gives_every_kind_of_step_back_as_it_was(tmp_path: Path) -> None:
    """Whatever is in the texts."""
    steps: list[Asked] = [
        Command(("nft", "-f", "-"), "add table ip x\n"),
        File("/run/x", "</pre>\n\u202e"),
        Served("proxy", ("nginx",), (("KEY", "value"),)),
        Spawned(("relay",)),
        Told({"members": [["198.19.0.2", 80]]}),
    ]
    notes = Notes()
    note = notes.during("expose")
    for step in steps:
        note(step)
    (tmp_path / APPLIED).write_text(notes.to_json())
    applied = read_applied(tmp_path)
    assert applied is not None
    assert [noted.step for noted in applied.steps] == steps


class _ByItself(Strategy):
    """As strategies of other packages were written before there were actions."""

    name = "by-itself"

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Do some of everything, and fail."""
        del endpoint, members
        assert host.run(["cat"], "text").stdout == "text"
        host.write("/run/by-itself", "text")
        host.serve("sleeper", ["sleep", "60"], {"KEY": "value"}).stop()
        raise StrategyError("enough")


@pytest.mark.host
def test_journal_keeps_what_a_strategy_asks_that_is_given_the_host(host: NetnsHost) -> None:
    """What failed is noted, too, and its error passed on; the plan says that it cannot tell."""
    heard: list[object] = []
    strategy = _ByItself(Options())
    with pytest.raises(StrategyError, match="enough"):
        carry_out(strategy.exposing(facts_of(host), ENDPOINT, MEMBERS), host, heard.append)
    assert heard == [
        Command(("cat",), "text"),
        File("/run/by-itself", "text"),
        Served("sleeper", ("sleep", "60"), (("KEY", "value"),)),
    ]
    (only,) = listed(strategy.exposing(Facts(), ENDPOINT, MEMBERS))
    assert isinstance(only, Remark)


@pytest.mark.host
def test_executor_gives_a_strategy_the_errors_of_its_actions(host: NetnsHost) -> None:
    """What it does not let pass, it may answer with further actions."""
    heard: list[object] = []

    def actions() -> Actions[None]:
        with pytest.raises(HostError):
            yield Command(("no-such-program",))
        yield Command(("true",))

    carry_out(actions(), host, heard.append)
    assert heard == [Command(("no-such-program",)), Command(("true",))]


def test_strategy_that_can_do_nothing_says_so() -> None:
    """It has neither the actions nor the method."""
    with pytest.raises(NotImplementedError, match="by-itself has neither update nor the actions"):
        list(listed(_ByItself(Options()).updating(Facts(), ENDPOINT, MEMBERS)))


def test_a_result_from_before_the_file_has_none(tmp_path: Path) -> None:
    assert read_applied(tmp_path) is None


@pytest.mark.parametrize("damage", ["", "{}", '{"schema": 2, "steps": []}', '{"schema": 1, "steps": [{}]}'])
def test_a_damaged_file_is_told_in_a_line(damage: str, tmp_path: Path) -> None:
    (tmp_path / APPLIED).write_text(damage)
    with pytest.raises(ResultError, match=r"applied\.json: is not what a run left: [^\n]*$"):
        read_applied(tmp_path)


@pytest.mark.host
def test_a_run_stores_the_rules_that_it_applied(harness: Harness, tmp_path: Path) -> None:
    """The kernel's own listing of a rule is made of the transaction that is stored."""
    scenario = tmp_path / "two.yaml"
    scenario.write_text(
        "name: two\nstrategy: dnat-random\nreplicas: 2\n"
        "load: {users: 2, duration: 10s, requests: 50, warm_up: 0s}\ntolerance: 90%\n"
    )
    ran = harness("run", scenario, "--results", tmp_path / "results", "--quiet")
    assert ran.exit_code in {0, 3}, ran.output
    (folder,) = (tmp_path / "results").iterdir()
    applied = read_applied(folder)
    assert applied is not None
    commands = [noted.step for noted in applied.steps if isinstance(noted.step, Command)]
    rules = "\n".join(command.text for command in commands if command.argv[0] == "iptables-restore")
    assert rules.count("-j DNAT") == 2
    assert {noted.during for noted in applied.steps} == {"expose"}

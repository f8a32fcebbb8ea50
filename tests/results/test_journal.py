"""What a strategy asks of its host is noted while it exposes and updates, and at no other time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ResultError
from harness.hosts.base import Finished
from harness.plan.dry_host import DryHost
from harness.results.journal import APPLIED, Notes, read_applied
from harness.strategies import find_strategy
from harness.strategies.actions import Command, File, Served, Spawned, Told
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    from pathlib import Path

    from harness.strategies.base import Strategy
    from tests.conftest import Harness

ENDPOINT = Endpoint("198.18.37.99", 80)
MEMBERS = [Member("a", "198.19.0.2", 8080, 1), Member("b", "198.19.0.3", 8080, 1)]


def _made(name: str) -> Strategy:
    strategy = find_strategy(name)
    return strategy(strategy.options_model())


def _noted(name: str, *, update: bool = False) -> tuple[DryHost, Notes]:
    host, strategy = DryHost("external", 1), _made(name)
    notes = Notes(host)
    with notes.during("expose") as stage:
        strategy.expose(stage, ENDPOINT, MEMBERS)
    if update:
        with notes.during("update") as stage:
            strategy.update(stage, ENDPOINT, MEMBERS[:1])
    return host, notes


@pytest.mark.parametrize("name", ["dnat-random", "nft-random", "userland"])
def test_all_that_a_strategy_asks_is_passed_on_and_noted_in_order(name: str, tmp_path: Path) -> None:
    host, notes = _noted(name, update=True)
    (tmp_path / APPLIED).write_text(notes.to_json())
    applied = read_applied(tmp_path)
    assert applied is not None
    assert [noted.step for noted in applied.steps] == host.steps
    assert len(host.steps) > 1
    moments = [noted.at_s for noted in applied.steps]
    assert moments == sorted(moments)
    parts = [noted.during for noted in applied.steps]
    assert parts == sorted(parts)
    assert set(parts) == {"expose", "update"}


def test_every_kind_of_step_comes_back_as_it_was(tmp_path: Path) -> None:
    host = DryHost("external", 1)
    notes = Notes(host)
    with notes.during("expose") as stage:
        stage.run(["nft", "-f", "-"], "add table ip x\n")
        stage.write("/run/x", "</pre>\n\u202e")
        stage.serve("proxy", ["nginx"], {"KEY": "value"})
        stage.spawn(["relay"], "host", "proxy").channel.send({"members": [["198.19.0.2", 80]]})
    (tmp_path / APPLIED).write_text(notes.to_json())
    applied = read_applied(tmp_path)
    assert applied is not None
    assert [noted.step for noted in applied.steps] == [
        Command(("nft", "-f", "-"), "add table ip x\n"),
        File("/run/x", "</pre>\n\u202e"),
        Served("proxy", ("nginx",), (("KEY", "value"),)),
        Spawned(("relay",)),
        Told({"members": [["198.19.0.2", 80]]}),
    ]


def test_journal_passes_on_other_calls_without_logging() -> None:
    """A strategy that keeps the host asks for counters through it later."""
    host = DryHost("external", 1)
    notes = Notes(host)
    with notes.during("expose") as stage:
        pass
    assert stage.run(["iptables-save"]) == Finished(0, "", "")
    assert stage.address == host.address
    assert host.steps == [Command(("iptables-save",), "")]
    assert '"run"' not in notes.to_json()


def test_journal_logs_a_failed_action_and_passes_its_error_on() -> None:
    """Afterwards nothing is noted any more, though the context ended with the error."""
    host = DryHost("external", 1)
    notes = Notes(host)

    def expose() -> None:
        with notes.during("expose") as stage:
            stage.write("/run/x", "y")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011  raised above, without words
        expose()
    host_again: Any = notes._host
    host_again.write("/run/z", "y")
    assert "/run/x" in notes.to_json()
    assert "/run/z" not in notes.to_json()


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

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.strategies import find_strategy, strategy_names

if TYPE_CHECKING:
    from tests.suite.conftest import Files


def test_every_combination_is_a_scenario_with_a_telling_name(files: Files) -> None:
    """Names say what is varied, in the order of the matrix."""
    text = """
matrix:
  strategy: [dnat-random, dnat-nth]
  replicas: [2, 10]
  connections: [keep-alive, per-request, 100]
"""
    planned = files.planned(text)
    assert list(planned) == [
        f"{strategy}-{replicas}-{connections}"
        for strategy in ("dnat-random", "dnat-nth")
        for replicas in (2, 10)
        for connections in ("keep-alive", "per-request", "connections-100")
    ]
    scenario = planned["dnat-nth-10-connections-100"].scenario
    assert (scenario.strategy.name, scenario.replicas, scenario.load.connections) == ("dnat-nth", 10, 100)
    assert scenario.name == "dnat-nth-10-connections-100"


def test_matrix_varies_any_key_of_a_scenario(files: Files) -> None:
    """With dots where it is nested; what the key is stands in the name, too."""
    text = """
matrix:
  strategy: [{name: so-reuseport-bpf, policy: cpu}, so-reuseport-bpf]
  load.warm-up: [1s, 1.5s]
  client: [local]
  application.env: [{MODE: x}]
"""
    planned = files.planned(text + "defaults: {replicas: 2}\n")
    assert list(planned) == [
        f"{strategy}-warm-up-{warm_up}-client-local-env-MODE-x"
        for strategy in ("so-reuseport-bpf-policy-cpu", "so-reuseport-bpf")
        for warm_up in ("1s", "1.5s")
    ]
    assert [one.scenario.load.warm_up_ns for one in planned.values()] == [10**9, 1_500_000_000] * 2
    assert [one.scenario.application.env for one in planned.values()] == [{"MODE": "x"}] * 4
    assert [one.scenario.strategy.options.model_dump() for one in planned.values()][::2] == [
        {"policy": "cpu"},
        {"policy": "random"},
    ]


def test_scenarios_of_one_strategy_are_named_by_the_suite(files: Files) -> None:
    """A name of numbers alone would say nothing."""
    planned = files.planned("name: cascade\nmatrix: {replicas: [2, 3]}\ndefaults: {strategy: dnat-nth}\n")
    assert list(planned) == ["cascade-2", "cascade-3"]


def test_a_name_that_is_too_long_is_cut_and_kept_apart(files: Files) -> None:
    """It names a folder."""
    users = ", ".join(f"{{A: {'x' * 70}{number}}}" for number in range(3))
    names = list(
        files.planned(f"matrix: {{strategy: [dnat-nth], replicas: [2], application.env: [{users}]}}\n")
    )
    assert [len(name) for name in names] == [64, 64, 64]
    assert [name[-2:] for name in names] == ["xx", "-2", "-3"]


@pytest.mark.parametrize("written", ["all", "[all]"])
def test_all_is_every_strategy_that_is_installed(files: Files, written: str) -> None:
    """A suite of all needs no new line when there is a new strategy."""
    suite = files.suite(f"matrix: {{strategy: {written}, replicas: [1]}}\n")
    assert [one.name for one in suite.scenarios] == [f"{name}-1" for name in strategy_names()]


def test_all_can_be_joined_by_variants(files: Files) -> None:
    """A strategy with other options than its own is another value."""
    text = "matrix: {strategy: [all, {name: so-reuseport-bpf, policy: cpu}], replicas: [1]}\n"
    names = [one.name for one in files.suite(text).scenarios]
    assert names == [*(f"{name}-1" for name in strategy_names()), "so-reuseport-bpf-policy-cpu-1"]


def test_combination_beyond_a_strategy_is_not_possible(files: Files) -> None:
    """Nobody asked for it in particular; the reason is kept."""
    text = "matrix: {strategy: [direct, dnat-nth], replicas: [1, 2]}\n"
    assert {name: one.reason for name, one in files.not_possible(text).items()} == {
        "direct-2": "replicas: 2 is too many; direct has 1 at most"
    }
    assert list(files.planned(text)) == ["direct-1", "dnat-nth-1", "dnat-nth-2"]
    assert [one.name for one in files.suite(text).scenarios][:2] == ["direct-1", "direct-2"]  # order is kept


def test_weights_that_a_strategy_can_not_give_are_not_possible(files: Files) -> None:
    """Those that can are run with them."""
    text = "matrix: {strategy: all, weights: [{a: 1, b: 3}]}\n"
    able = [
        name
        for name in strategy_names()
        if find_strategy(name).default_capabilities().weights and find_strategy(name).runs_on("process")
    ]
    assert list(files.planned(text)) == [f"{name}-weights-a-1-b-3" for name in able]
    for one in files.not_possible(text).values():
        words = ("can't give instances different shares", "1 at most", "doesn't run on engine 'process'")
        assert any(reason in one.reason for reason in words)


def test_in_a_file_of_its_own_the_same_is_a_mistake(files: Files) -> None:
    """There, somebody asked for it."""
    assert files.refused(files.write("a.yaml", "strategy: direct\nreplicas: 2\n")) == [
        "a.yaml:2:11: replicas: 2 is too many; direct has 1 at most"
    ]


def test_a_mistake_beside_what_is_not_possible_is_still_one(files: Files) -> None:
    """A wrong key is not excused by a strategy that can't have the combination anyway."""
    text = "matrix: {strategy: [direct], replicas: [2]}\ndefaults: {usrs: 2}\n"
    (line,) = files.complaints(text)
    assert line.startswith("suite.yaml:2:12: unknown key 'usrs'")


def test_adjustments_change_what_they_fit(files: Files) -> None:
    """All conditions hold, any value of a list does, and the last of several wins."""
    text = """
matrix: {strategy: [dnat-nth, nginx], replicas: [2, 3], connections: [keep-alive, per-request]}
defaults: {load: {users: 1, duration: 5s}}
adjust:
  - where: {unit: [connection, source], connections: keep-alive}
    set: {expect: inconclusive}
  - where: {replicas: [3, 2]}
    set: {load: {users: 2}}
  - where: {load.connections: per-request, strategy: nginx, replicas: 3}
    set: {load: {users: 3}, tolerance: 30%}
"""
    planned = {name: one.scenario for name, one in files.planned(text).items()}
    assert {name for name, one in planned.items() if one.expect == "inconclusive"} == {
        "dnat-nth-2-keep-alive",
        "dnat-nth-3-keep-alive",
    }
    assert {name: one.load.users for name, one in planned.items() if one.load.users != 2} == {
        "nginx-3-per-request": 3
    }
    assert planned["nginx-3-per-request"].tolerance == pytest.approx(0.3)
    assert all(one.load.duration_ns == 5 * 10**9 for one in planned.values())


def test_a_condition_can_mean_a_strategy_with_just_these_options(files: Files) -> None:
    """By its name it is meant with all."""
    text = """
matrix: {strategy: [so-reuseport-bpf, {name: so-reuseport-bpf, policy: cpu}], replicas: [4]}
adjust:
  - {where: {strategy: so-reuseport-bpf}, set: {tolerance: 30%}}
  - {where: {strategy: {name: so-reuseport-bpf, policy: cpu}}, set: {expect: uneven}}
"""
    scenarios = [one.scenario for one in files.planned(text).values()]
    assert [(one.expect, one.tolerance) for one in scenarios] == [("even", 0.3), ("uneven", 0.3)]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("strategy: []", "20: matrix.strategy: the list is empty"),
        ("replicas: 5", "20: matrix.replicas: expected a list of values, found the number 5"),
        ("strategy: dnat-nth", "20: matrix.strategy: expected a list of values, found the text 'dnat-nth'"),
        ("strategy: ", "10: matrix.strategy: has no value; write one, or take the key out"),
        ("replicas: [2, 3, 2]", "27: matrix.replicas[2]: 2 is there twice"),
        ("strategy: [dnat-nth, all]", "31: matrix.strategy[1]: 'dnat-nth' is there twice"),
        ("connections: [1], load.connections: [1]",
         "28: matrix.load.connections: load.connections is varied already"),
        ("load: [{users: 1}], load.users: [1]", "30: matrix.load.users: load is varied already"),
        ("name: [a, b]", "10: matrix.name: names are made of what is varied; take it out"),
        ("seed: [" + ", ".join(map(str, range(101))) + "], replicas: [" + ", ".join(map(str, range(1, 101)))
         + "]", "9: makes 10,100 scenarios; 10,000 are the most"),
    ],
)  # fmt: skip
def test_a_matrix_that_is_wrong_is_refused_at_its_place(files: Files, matrix: str, message: str) -> None:
    """Before any scenario of it is looked at."""
    assert files.complaints(f"matrix: {{{matrix}}}\n") == [f"suite.yaml:1:{message}"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("strategy: [dnat-nth]", "1:9: missing key 'replicas'; write, for example, replicas: 10"),
        ("strategy: [dnat-nth], replicas: [2], load.usrs: [1]",
         "1:47: unknown key 'load.usrs', did you mean 'load.users'?"),
        ("strategy: [dnat-nth], replicas: [2], connections: [1, kept]",
         "1:64: load.connections: 'kept' is no way to use connections; write per-request, keep-alive, or"),
        ("strategy: [{name: so-reuseport-bpf, policy: none}], replicas: [2]",
         "1:54: strategy.policy: unknown value 'none' (values: random, cpu)"),
        ("strategy: [dnat-nth], replicas: [2], client.x: [1]",
         "1:47: client: unknown value a mapping"),
    ],
)  # fmt: skip
def test_a_scenario_that_is_wrong_is_refused_at_its_values_place(
    files: Files, matrix: str, message: str
) -> None:
    """The value, or the key, of the matrix that makes it so."""
    (line,) = files.complaints(f"matrix: {{{matrix}}}\n")
    assert line.startswith(f"suite.yaml:{message}")


@pytest.mark.parametrize(
    ("adjustment", "message"),
    [
        ("{where: {strtegy: dnat-nth}, set: {}}",
         "19: 'strtegy' is not varied, did you mean 'strategy'? (keys: strategy, replicas, unit)"),
        ("{where: {replicas: 4}, set: {}}", "29: adjust[0].where.replicas: 4 is none of: 2, 3"),
        ("{where: {unit: byte}, set: {}}",
         "25: adjust[0].where.unit: 'byte' is none of: connection, request, source, network"),
        ("{where: {}, set: {replicas: 4}}", "28: adjust[0].set.replicas: the scenario is named for it"),
        ("{where: {}, set: {name: x}}", "28: adjust[0].set.name: the scenario is named for it"),
        ("{where: {}, set: {load: {uers: 1}}}", "35: unknown key 'load.uers', did you mean 'load.users'?"),
        ("{where: 5, set: {}}", "18: adjust[0].where: expected a mapping, found the number 5"),
        ("5", "10: adjust[0]: expected a mapping, found the number 5"),
    ],
)  # fmt: skip
def test_an_adjustment_that_is_wrong_is_refused_at_its_place(
    files: Files, adjustment: str, message: str
) -> None:
    """A condition that fits nothing is a slip of the pen."""
    text = f"matrix: {{strategy: [dnat-nth], replicas: [2, 3]}}\nadjust: [{adjustment}]\n"
    assert files.complaints(text) == [f"suite.yaml:2:{message}"]

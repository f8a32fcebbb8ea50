from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.suite.file import Planned, read_suite

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Scenario
    from tests.suite.conftest import Files

RIGHT = "strategy: dnat-random\nreplicas: 2\n"


def scenarios(*paths: Path) -> dict[str, Scenario]:
    return {one.name: one.scenario for one in read_suite(paths).scenarios if isinstance(one, Planned)}


def test_a_folder_is_its_own_files_in_the_order_of_their_names(files: Files) -> None:
    """Neither other files nor those of folders in it are meant, and the suite is called after it."""
    for name in ("s/b.yaml", "s/a.yaml", "s/c.yml", "s/suites/d.yaml"):
        files.write(name, RIGHT)
    suite = read_suite([files.folder / "s"])
    assert [one.name for one in suite.scenarios] == ["a", "b"]
    assert (suite.name, suite.seed) == ("s", 0)


def test_files_folders_and_suites_can_be_mixed(files: Files) -> None:
    """The order given is kept, and several paths together have a name of no one's."""
    files.write("s/a.yaml", RIGHT)
    plain = files.write("z.yaml", RIGHT)
    suite = files.write("t.yaml", "matrix: {strategy: [dnat-nth], replicas: [2, 3]}\nseed: 5\n")
    read = read_suite([plain, suite, files.folder / "s"])
    assert [one.name for one in read.scenarios] == ["z", "dnat-nth-2", "dnat-nth-3", "a"]
    assert (read.name, read.seed) == ("suite", 5)
    assert read_suite([plain]).name == "z"
    assert read_suite([suite]).name == "t"


def test_scenarios_are_found_from_where_the_suite_file_stands(files: Files) -> None:
    """A suite can be run from any folder."""
    files.write("a.yaml", RIGHT)
    suite = files.write("suites/s.yaml", "scenarios: [../a.yaml]\n")
    assert list(scenarios(suite)) == ["a"]


def test_defaults_fill_in_what_a_scenario_does_not_say(files: Files) -> None:
    """Load and application are merged key by key; the scenario's own values win."""
    files.write("a.yaml", RIGHT + "load: {users: 3}\nname: other\n")
    suite = files.write(
        "s.yaml",
        "scenarios: [a.yaml]\n"
        "defaults: {load: {users: 9, warm-up: 1s, duration: 4s}, replicas: 7, port: 81}\n",
    )
    scenario = scenarios(suite)["other"]
    assert (scenario.load.users, scenario.load.warm_up_ns, scenario.load.duration_ns) == (3, 10**9, 4 * 10**9)
    assert (scenario.replicas, scenario.port) == (2, 81)


@pytest.mark.parametrize(
    ("own", "suite", "option", "times"),
    [("", "", None, 1), ("repeat: 2\n", "", None, 2), ("repeat: 2\n", "repeat: 3\n", None, 3),
     ("repeat: 2\n", "repeat: 3\n", 4, 4), ("repeat: 2\n", "defaults: {repeat: 5}\n", None, 2),
     ("", "defaults: {repeat: 5}\n", None, 5)],
)  # fmt: skip
def test_repeat_comes_from_option_else_suite_else_scenario(
    files: Files, own: str, suite: str, option: int | None, times: int
) -> None:
    """The option, else the suite, else the scenario: they are not multiplied."""
    files.write("a.yaml", RIGHT + own)
    path = files.write("s.yaml", "scenarios: [a.yaml]\n" + suite)
    (planned,) = read_suite([path], repeat=option).scenarios
    assert isinstance(planned, Planned)
    assert planned.repeat == times


def test_the_option_seed_wins(files: Files) -> None:
    """Even with 0, which says as much as any other number."""
    path = files.write("s.yaml", "matrix: {strategy: [dnat-nth], replicas: [2]}\nseed: 5\n")
    assert read_suite([path], seed=0).seed == 0
    assert read_suite([path]).seed == 5


def test_overrides_reach_every_scenario(files: Files) -> None:
    """They win over the file, the defaults and the adjustments."""
    text = """
matrix: {strategy: [dnat-nth], replicas: [2, 3]}
defaults: {load: {users: 5}}
adjust: [{where: {replicas: 3}, set: {load: {users: 6}}}]
"""
    planned = files.planned(text, ["load.users=7"])
    assert [one.scenario.load.users for one in planned.values()] == [7, 7]


def test_everything_that_is_wrong_is_told_at_once(files: Files) -> None:
    """Each at its place, in whichever file, and only once however many scenarios share it."""
    files.write("a.yaml", "strategy: dnat-random\nreplica: 2\n")
    files.write("b.yaml", "[")
    text = """\
repeat: 0
scenarios: [a.yaml, b.yaml, c.yaml]
matrix:
  strategy: [dnat-rnd, dnat-nth]
  replicas: [0, 2]
defaults: {load: {users: none, path: }, nmae: x}
"""
    told = files.complaints(text)
    expected = [
        "suite.yaml:1:9: repeat: 0 is too few; write a whole number of at least 1",
        "suite.yaml:6:32: defaults.load.path: has no value; write one, or take the key out",
        "suite.yaml:6:41: unknown key 'nmae'",
        "a.yaml:2:1: unknown key 'replica', did you mean 'replicas'?",
        "suite.yaml:6:26: load.users: expected a whole number, found the text 'none'",
        "suite.yaml:2:21: b.yaml:1:2: not YAML",
        "suite.yaml:2:29: c.yaml: there is no such file",
        "suite.yaml:4:14: unknown strategy 'dnat-rnd', did you mean 'dnat-random'?",
        "suite.yaml:5:14: replicas: 0 is too few; write a whole number of at least 1",
    ]
    for line in expected:
        assert len([words for words in told if words.startswith(line)]) == 1, (line, told)
    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios: []\n", "1:1: the suite holds no scenario; list some, or a matrix"),
        ("matrix: {}\n", "1:1: the suite holds no scenario; list some, or a matrix"),
        ("scenarios: a.yaml\n", "1:12: scenarios: expected a list, found the text 'a.yaml'"),
        ("scenarios: [5]\n", "1:13: scenarios[0]: expected text, found the number 5; put it in quotes"),
        ("matrix: 5\n", "1:9: matrix: expected a mapping, found the number 5"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\nrepaet: 3\n",
         "2:1: unknown key 'repaet', did you mean 'repeat'?"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\ndefaults: {name: x}\n",
         "2:12: defaults.name: each scenario needs its own; take it out"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\ndefaults: [x]\n",
         "2:11: defaults: expected a mapping, found a list"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\nadjust: [{where: {}}]\n",
         "2:10: missing key 'adjust[0].set'"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\nadjust: [{where: {}, set: {}, st: 1}]\n",
         "2:31: unknown key 'adjust[0].st', did you mean 'adjust[0].set'?"),
        ("matrix: {strategy: [dnat-nth], replicas: [2]}\nmatrix: {}\n",
         "2:1: duplicate key 'matrix', first given at suite.yaml:1:1"),
    ],
)  # fmt: skip
def test_a_suite_file_that_is_wrong_is_refused_at_its_place(files: Files, text: str, message: str) -> None:
    """As a scenario file is."""
    assert files.complaints(text) == [f"suite.yaml:{message}"]


def test_names_are_unique(files: Files) -> None:
    """Two rows of one name could not be told apart; both places are named."""
    first, second = files.write("s/a.yaml", RIGHT), files.write("t/b.yaml", RIGHT + "name: a\n")
    assert files.refused(first, second) == [
        "t/b.yaml:3:7: name 'a' is that of s/a.yaml:1:1, too; give it another with the key name"
    ]
    made = files.write("dnat-nth-2.yaml", RIGHT)
    matrix = files.write("m.yaml", "matrix: {strategy: [dnat-nth], replicas: [2]}\n")
    assert files.refused(made, matrix) == [
        "m.yaml:1:9: the matrix makes a scenario 'dnat-nth-2', whose name is that of dnat-nth-2.yaml:1:1"
    ]


def test_a_suite_in_a_suite_is_refused(files: Files) -> None:
    """Suites would have to agree on repeats and seeds."""
    files.write("a.yaml", "matrix: {strategy: [dnat-nth], replicas: [2]}\n")
    (line,) = files.complaints("scenarios: [a.yaml]\n")
    assert line == "suite.yaml:1:13: scenarios[0]: a.yaml is a suite itself; a suite lists scenarios only"


def test_a_path_without_scenarios_is_refused(files: Files) -> None:
    """Nothing to run is no success."""
    (files.folder / "empty").mkdir()
    assert files.refused(files.folder / "empty", files.folder / "nowhere") == [
        "empty: no scenario is here: no file of this folder ends in .yaml",
        "nowhere: there is no such file",
    ]


def test_an_override_that_is_wrong_is_told_once(files: Files) -> None:
    """Not once for each scenario."""
    text = "matrix: {strategy: [dnat-nth], replicas: [2, 3]}\n"
    assert files.complaints(text, ["load.users=0"]) == [
        "--set load.users=0: load.users: 0 is too few; write a whole number of at least 1"
    ]
    assert files.complaints(text, ["load.users=["]) == [
        "--set load.users=[: not YAML: expected the node content, but found '<stream end>'"
    ]


@pytest.mark.parametrize("setting", ["replicas=5", "strategy.name=dnat-nth", "load={users: 3}"])
def test_override_of_a_matrix_key_is_refused(files: Files, setting: str) -> None:
    """It would make all of the matrix's values one, under names that say otherwise."""
    text = "matrix: {strategy: [dnat-nth], replicas: [2, 3], connections: [keep-alive]}\n"
    assert files.complaints(text, [setting]) == [f"--set {setting}: suite 'suite' varies it; change it there"]

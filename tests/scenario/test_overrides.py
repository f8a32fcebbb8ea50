"""`--set` replaces what the file says, and its mistakes are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.conftest import KEYS, RIGHT, STRATEGIES, load, refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["load.users=32"], "load.users", 32),
        (["load.warm-up=1s"], "load.warm_up", "1s"),
        (["load.headers.X-A=b"], "load.headers", {"X-A": "b"}),
        (["load={users: 3}"], "load.users", 3),
        (["replicas=1", "replicas=2"], "replicas", 2),
        (["description=a: b = c"], "description", None),
        (["description='a = b'"], "description", "a = b"),
        (["strategy.name=dnat-random"], "strategy", {"name": "dnat-random"}),
        (["strategy=dnat-random"], "strategy", {"name": "dnat-random"}),
        (["application.delay=5ms"], "application.delay", "5ms"),
        (["application.command=[a, b]", "application=sample"], "application.delay", "0s"),
        (["application.identity.body=(.*)"], "application.identity", {"body": "(.*)"}),
    ],
)
def test_an_override_replaces_what_the_file_says(
    folder: Path, overrides: list[str], path: str, value: object
) -> None:
    """Values are YAML, keys have dots, and mappings are made on the way."""
    text = RIGHT + "application: sample\n"
    if value is None:
        assert refused(folder, text, *overrides).startswith(f"--set {overrides[0]}: ")
        return
    found: Any = load(folder, text, *overrides).as_written()
    for key in path.split("."):
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("load.users=abc", "load.users: expected a whole number, found the text 'abc'"),
        ("load.users", "there is no '='; write KEY=VALUE, such as load.users=32"),
        ("load.usrs=3", "unknown key 'load.usrs', did you mean 'load.users'?"),
        ("=3", f"unknown key '' (keys: {KEYS})"),
        ("replicas.x=3", "replicas is 10, no mapping; set it as a whole"),
        ("load.users=", "load.users: has no value; write one, or take the key out"),
        ("load.users=[1", "not YAML: expected ',' or ']', but got '<stream end>'"),
        ("strategy.name=x", "unknown strategy 'x' " + STRATEGIES),
        ("load.users={a: 1, a: 2}",
         "duplicate key 'load.users.a', first given at --set load.users={a: 1, a: 2}"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_its_own_place(folder: Path, override: str, words: str) -> None:
    """The file is not blamed for the command line."""
    assert refused(folder, RIGHT, override).splitlines()[0] == f"--set {override}: {words}"


def test_an_override_mends_what_the_file_lacks(folder: Path) -> None:
    """A key without a value, or with a wrong one, is no problem once it is replaced."""
    text = "strategy: dnat-random\nreplicas:\nload: {users: *many}\nport: no\n"
    assert load(folder, text.replace("*many", "0"), "replicas=2", "load.users=3", "port=80").replicas == 2

"""The levels of tests: each has one, and a `unit` test is stopped when it starts what is not for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.hosts.netns import NetnsHost
from tests.levels import LEVELS, level_of, only_others_start


def test_each_test_has_one_level(request: pytest.FixtureRequest) -> None:
    """Of those that were collected together with this one; its marker is its level."""
    for item in request.session.items:
        marked = [mark.name for mark in item.iter_markers() if mark.name in LEVELS]
        assert set(marked) == {level_of(item)}, item.nodeid


def test_levels_are_the_markers_that_pytest_knows(pytestconfig: pytest.Config) -> None:
    """pyproject.toml explains each."""
    explained = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert set(LEVELS) <= explained


def test_two_levels_are_refused(request: pytest.FixtureRequest) -> None:
    """The message names the test and both."""
    node = request.node
    node.add_marker("host")
    try:
        with pytest.raises(
            pytest.UsageError, match=r"test_two_levels_are_refused has two levels: host, unit"
        ):
            level_of(node)
    finally:
        node.own_markers[:] = [mark for mark in node.own_markers if mark.name != "host"]


def test_a_unit_test_cannot_make_a_host() -> None:
    """Nor can a program be started that only hosts have, or the command that makes one."""
    with (
        NetnsHost("external") as host,
        pytest.raises(pytest.fail.Exception, match=r"a unit test starts a host: mark it"),
    ):
        host.start()
    host._channel.close()
    harness = Path(sys.executable).with_name("harness")
    with pytest.raises(pytest.fail.Exception, match=r"a unit test starts harness run"):
        subprocess.run([harness, "run", "scenario.yaml"], check=False)


@pytest.mark.parametrize("argv", [["nginx", "-v"], ["/usr/bin/podman"], ["unshare", "--user", "true"]])
def test_programs_of_other_levels_are_known(argv: list[str]) -> None:
    """By name, wherever they lie; all others may run."""
    assert only_others_start(argv) == Path(argv[0]).name
    assert only_others_start([sys.executable, *argv]) is None
    assert only_others_start([]) is None

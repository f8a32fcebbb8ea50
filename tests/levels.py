"""What a test needs: each has one of five levels, and `unit` tests are kept from what only others may start.

A level is a marker: ``pytest -m unit`` runs the tests of one. A test's own marker says it, or its module's
(``pytestmark = pytest.mark.host``); else the fixtures that it takes do, else the folder that it lies in. What
is left is `unit`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEVELS: Final = ("unit", "host", "containers", "browser", "vagrant")
"""From the quickest to the slowest; a test has the last of those that its fixtures ask for."""

FIXTURES: Final = {
    "host": "host",
    "installed": "host",
    "kernel": "host",
    "ordinary_user": "host",
    "lonely_generator": "host",
    "built": "containers",
    "podman": "containers",
    "registry": "containers",
    "browser": "browser",
}
"""The level of a test that takes this fixture, directly or through others."""

FOLDERS: Final = {"end_to_end": "host", "notebooks": "host"}
"""The level of tests in this folder of `tests`."""

_PROGRAMS: Final = {
    *(
        "unshare",
        "nsenter",
        "iptables-restore",
        "nft",
        "nginx",
        "haproxy",
        "envoy",
        "traefik",
        "caddy",
        "dnsmasq",
    ),
    *("dockerd", "podman", "docker-registry", "skopeo", "chromium", "vagrant"),
}
_COMMANDS: Final = {"run", "suite"}
TESTS: Final = Path(__file__).parent


def level_of(item: pytest.Item) -> str:
    """Give the one level of a test.

    Raises
    ------
    pytest.UsageError
        Where markers say two.
    """
    marked = {mark.name for mark in item.iter_markers() if mark.name in LEVELS}
    if len(marked) > 1:
        raise pytest.UsageError(f"{item.nodeid} has two levels: {', '.join(sorted(marked))}; leave one")
    fixtures = {FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURES}
    folder = FOLDERS.get(item.path.parent.relative_to(TESTS).as_posix(), "unit")
    return marked.pop() if marked else max((folder, *fixtures), key=LEVELS.index)


def mark_levels(items: Iterable[pytest.Item]) -> None:
    """Give each test the marker of its level, where it has none."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue  # a scenario file that `pytest --harness` collects, for one
        level = level_of(item)
        if item.get_closest_marker(level) is None:
            item.add_marker(level)


def only_others_start(argv: Sequence[str]) -> str | None:
    """Name what no `unit` test may start, if this command is such: a host, a proxy, an engine, a browser."""
    words = [str(word) for word in argv]
    program = Path(words[0]).name if words else ""
    if "harness.hosts.supervisor" in words:
        return "a host"
    if program in _PROGRAMS:
        return program
    return f"harness {words[1]}" if program == "harness" and _COMMANDS & set(words[1:2]) else None


class Guard:
    """Fails a `unit` test in the moment in which it starts what is not for it."""

    def __init__(self) -> None:
        self.level = ""
        sys.addaudithook(self._started)

    def _started(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "subprocess.Popen" or self.level != "unit":
            return
        argv = arguments[1]
        started = only_others_start([argv] if isinstance(argv, str) else [str(word) for word in argv])
        if started:
            pytest.fail(f"a unit test starts {started}: mark it with the level that may (tests/levels.py)")

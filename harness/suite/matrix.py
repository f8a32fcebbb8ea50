"""A suite's matrix: one scenario for each combination of values, with the places of its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from harness.common.quantities import shown
from harness.scenario.fields import WRITTEN
from harness.scenario.merging import graft, merge
from harness.scenario.model import StrategyChoice
from harness.scenario.problems import did_you_mean, expected
from harness.scenario.reading import spelling
from harness.scenario.source import Document, Place, Problem, dotted
from harness.strategies import strategy_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.scenario.source import KeyPath

MOST_SCENARIOS: Final = 10_000
SHORT_KEYS: Final = {"connections": "load.connections"}
UNITS: Final = ("connection", "request", "source", "network")
_MOST_NAME: Final = 64
_PLAIN: Final[set[KeyPath]] = {("strategy",), ("replicas",), ("load", "connections")}
"""Keys whose values say by themselves, in a scenario's name, what they are."""


def key_path(key: str) -> KeyPath:
    """Give the path of a scenario's key that is written with dots, or short."""
    path: KeyPath = ()
    for part in SHORT_KEYS.get(key, key).split("."):
        path = (*path, spelling(path, part))
    return path


@dataclass(frozen=True)
class _Axis:
    """One key of a matrix: its path in a scenario, and each value with the path where it is written."""

    path: KeyPath
    values: tuple[tuple[Any, KeyPath], ...]


@dataclass(frozen=True)
class Combination:
    """One scenario of a matrix, not yet checked."""

    name: str
    strategy: str
    document: Document


class Matrix:
    """The matrix of a suite's document.

    Parameters
    ----------
    document
        A suite's; `matrix`, `defaults` and `adjust` are read of it, each only if it is of the right type.
    name
        The suite's; combinations are named after it where they don't vary the strategy.

    Attributes
    ----------
    problems
        What is wrong with the matrix itself; the scenarios that it makes are for others to check.
    """

    def __init__(self, document: Document, name: str) -> None:
        self._document = document
        self._name = name
        self.problems: list[Problem] = []
        self._axes = list(self._read_axes())
        self._usable = not self.problems and isinstance(document.data.get("defaults", {}), dict)
        self._adjustments = list(self._read_adjustments())

    def overridden(self, overrides: Sequence[str]) -> list[Problem]:
        """Find overrides of what the matrix varies: they would make all its values one."""
        problems = []
        for number, text in enumerate(overrides, 1):
            path = key_path(text.partition("=")[0].strip())
            problems += [
                Problem(
                    Place(number, 0, 0, f"--set {text}"), f"suite {self._name!r} varies it; change it there"
                )
                for axis in self._axes
                if _overlap(path, axis.path)
            ]
        return problems

    def combinations(self) -> Iterator[Combination]:
        """Give all combinations; the last key's values change fastest."""
        if not self._axes or not self._usable:
            return
        taken: set[str] = set()
        for values in product(*(axis.values for axis in self._axes)):
            document = Document({})
            document.values[()] = self._document.place(("matrix",))
            if isinstance(self._document.data.get("defaults"), dict):
                merge(document, self._document, ("defaults",))
            for axis, (value, at) in zip(self._axes, values, strict=True):
                graft(document, axis.path, self._document, at)
                if isinstance(value, str):  # the strategy's name where `all` is written
                    document.data |= {"strategy": value} if axis.path == ("strategy",) else {}
            for where, index in self._adjustments:
                if _fits(where, document.data):
                    merge(document, self._document, ("adjust", index, "set"))
            name = _free(self._named([value for value, _ in values]), taken)
            yield Combination(name, _strategy_name(document.data.get("strategy")), document)

    def _read_axes(self) -> Iterator[_Axis]:
        matrix = self._document.data.get("matrix")
        if not isinstance(matrix, dict):
            return
        axes: list[_Axis] = []
        for key in matrix:
            axis = _Axis(key_path(key), tuple(self._read_values(key)))
            if twice := next((other for other in axes if _overlap(axis.path, other.path)), None):
                self._complain(
                    ("matrix", key), f"matrix.{key}: {dotted(twice.path)} is varied already", of_key=True
                )
            if axis.path == ("name",):
                self._complain(
                    ("matrix", key), "matrix.name: names are made of what is varied; take it out", of_key=True
                )
            axes.append(axis)
        if (count := prod(len(axis.values) for axis in axes)) > MOST_SCENARIOS:
            self._complain(("matrix",), f"makes {count:,} scenarios; {MOST_SCENARIOS:,} are the most")
        yield from axes

    def _read_values(self, key: str) -> Iterator[tuple[Any, KeyPath]]:
        at: KeyPath = ("matrix", key)
        written = self._document.data["matrix"][key]
        if written == "all" and key == "strategy":
            yield from ((name, at) for name in strategy_names())
            return
        if not isinstance(written, list) or not written:
            if written is not None:  # which has words of its own
                what = expected("a list of values", written) if written != [] else "the list is empty"
                self._complain(at, f"{dotted(at)}: {what}")
            return
        seen: list[Any] = []
        for index, value in enumerate(written):
            every = value == "all" and key == "strategy"
            for one in strategy_names() if every else [value]:
                if one in seen:
                    self._complain((*at, index), f"{dotted((*at, index))}: {shown(one)} is there twice")
                seen.append(one)
                yield one, (*at, index)

    def _read_adjustments(self) -> Iterator[tuple[dict[KeyPath, list[Any]], int]]:
        adjust = self._document.data.get("adjust")
        for index, adjustment in enumerate(adjust if isinstance(adjust, list) else []):
            if not isinstance(adjustment, dict):
                continue
            where, change = adjustment.get("where"), adjustment.get("set")
            if isinstance(where, dict) and isinstance(change, dict):
                self._check_change(("adjust", index, "set"), change)
                yield self._read_where(("adjust", index, "where"), where), index

    def _check_change(self, at: KeyPath, change: dict[str, Any]) -> None:
        """See to it that an adjustment doesn't change what a scenario is named for."""
        for key, value in change.items():
            paths: list[KeyPath] = [(key, inner) for inner in value] if isinstance(value, dict) else []
            for path in paths or [(key,)]:
                if path == ("name",) or any(_overlap(path, axis.path) for axis in self._axes):
                    self._complain(
                        (*at, *path), f"{dotted((*at, *path))}: the scenario is named for it", of_key=True
                    )

    def _read_where(self, at: KeyPath, where: dict[str, Any]) -> dict[KeyPath, list[Any]]:
        known: dict[KeyPath, list[Any]] = {
            axis.path: [name for value, _ in axis.values for name in _called(axis.path, value)]
            for axis in self._axes
        }
        known["unit",] = list(UNITS)
        conditions: dict[KeyPath, list[Any]] = {}
        for key, written in where.items():
            if (path := key_path(key)) not in known:
                keys = [*self._document.data.get("matrix", {}), "unit"]
                near = did_you_mean(key, keys)
                self._complain(
                    (*at, key), f"{shown(key)} is not varied{near} (keys: {', '.join(keys)})", of_key=True
                )
                continue
            conditions[path] = written if isinstance(written, list) else [written]
            for value in conditions[path]:
                if value not in known[path]:
                    given = ", ".join(dict.fromkeys(str(one) for one in known[path]))
                    self._complain((*at, key), f"{dotted((*at, key))}: {shown(value)} is none of: {given}")
        return conditions

    def _complain(self, at: KeyPath, words: str, *, of_key: bool = False) -> None:
        place = self._document.keys[at] if of_key else self._document.place(at)
        self.problems.append(Problem(place, words))

    def _named(self, values: Sequence[Any]) -> str:
        parts: list[str] = []
        for axis, value in zip(self._axes, values, strict=True):
            # A number of requests for each connection could be taken for anything.
            plain = axis.path in _PLAIN and not (axis.path[0] == "load" and isinstance(value, int))
            parts += _slugs(value, "" if plain else str(axis.path[-1]))
        if all(axis.path != ("strategy",) for axis in self._axes):
            parts.insert(0, _slug(self._name))
        return "-".join(parts)


def _overlap(one: KeyPath, other: KeyPath) -> bool:
    """Tell whether two keys are the same, or one holds the other."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _fits(where: dict[KeyPath, list[Any]], scenario: dict[str, Any]) -> bool:
    return all(any(name in wanted for name in _found(path, scenario)) for path, wanted in where.items())


def _found(path: KeyPath, scenario: dict[str, Any]) -> list[Any]:
    """Give what a condition can call the value that a scenario has."""
    if path == ("unit",):
        return [_unit(scenario.get("strategy"))]
    value: Any = scenario
    for part in path:
        value = value[part]
    return _called(path, value)


def _called(path: KeyPath, value: Any) -> list[Any]:
    """Give the value, and a strategy's name, too: with that, all its options are meant."""
    return [value, value.get("name")] if path == ("strategy",) and isinstance(value, dict) else [value]


def _unit(written: Any) -> str | None:
    """Give what a strategy balances, which its options may change; None if there is no such strategy."""
    choice = {"name": written} if isinstance(written, str) else written
    try:
        return StrategyChoice.model_validate(choice, by_alias=True, context=WRITTEN).can.unit
    except ValidationError:
        return None  # reported when the scenario is checked


def _strategy_name(written: Any) -> str:
    return str(written.get("name") if isinstance(written, dict) else written)


def _slugs(value: Any, key: str) -> Iterator[str]:
    """Give what stands for a value in a scenario's name."""
    if key:
        yield _slug(key)
    if isinstance(value, dict):
        if "name" in value:
            yield _slug(value["name"])
        for inner, content in value.items():
            if inner != "name":
                yield from _slugs(content, inner)
    elif isinstance(value, list):
        for content in value:
            yield from _slugs(content, "")
    else:
        yield _slug(value)


def _slug(value: Any) -> str:
    return re.sub("[^A-Za-z0-9.]+", "-", str(value)).strip("-.") or "x"


def _free(name: str, taken: set[str]) -> str:
    """Shorten a name to what may name a folder, and keep it apart from those taken."""
    free, number = name[:_MOST_NAME].rstrip("-."), 1
    while free in taken:
        number += 1
        free = f"{name[: _MOST_NAME - 1 - len(str(number))].rstrip('-.')}-{number}"
    taken.add(free)
    return free

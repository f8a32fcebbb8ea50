"""From paths on the command line to what a suite runs; all mistakes at once, each with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import ScenarioError
from harness.scenario.fields import Name  # noqa: TC001  pydantic reads it when the model is made
from harness.scenario.merging import merge
from harness.scenario.problems import explain, find_nulls
from harness.scenario.reading import check_scenario, is_suite, read_document, spelling
from harness.scenario.source import Document, Problem, first_of, prefixed
from harness.suite.matrix import Matrix, key_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.scenario import Scenario
    from harness.scenario.source import KeyPath, Place


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Adjustment(_Model):
    """A change of those scenarios of the matrix that a condition fits."""

    where: dict[str, Any] = Field(
        description="Which: keys of the matrix, or `unit`, each with a value or a list of values."
    )
    set: dict[str, Any] = Field(description="What they say instead of the defaults, as in a scenario.")


class SuiteFile(_Model):
    """Several scenarios in one file: listed, or made of a matrix, or both."""

    name: Name | None = Field(default=None, description="The file's name without its ending, if left out.")
    description: str = Field(default="", description="What the suite is for.")
    scenarios: list[str] = Field(default=[], description="Scenario files, as seen from this file.")
    matrix: dict[str, Any] = Field(
        default={}, description="A scenario's keys, each with a list of values: all combinations are run."
    )
    adjust: list[Adjustment] = Field(default=[], description="Changes of some of the matrix's scenarios.")
    defaults: dict[str, Any] = Field(
        default={}, description="What scenarios say that don't say it themselves."
    )
    repeat: int | None = Field(
        default=None, ge=1, le=1000, description="How many times each scenario is run; its own, if left out."
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Shuffles the order of the runs.")


@dataclass(frozen=True)
class Planned:
    """A scenario that is to be run.

    Attributes
    ----------
    repeat
        How many times.
    of_matrix
        Whether it is one of all combinations, so that it was not named itself.
    """

    scenario: Scenario
    repeat: int
    of_matrix: bool

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name


@dataclass(frozen=True)
class NotPossible:
    """A combination of a matrix that its strategy can't have."""

    name: str
    strategy: str
    reason: str


@dataclass(frozen=True)
class Suite:
    """What is to be run, in the order in which it was given; names are unique."""

    name: str
    seed: int
    scenarios: tuple[Planned | NotPossible, ...]


def read_suite(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    repeat: int | None = None,
    seed: int | None = None,
) -> Suite:
    """Read scenario files, suite files, and folders with either.

    Parameters
    ----------
    paths
        Of a folder, the files that end in .yaml are meant, without those of folders in it.
    overrides
        For every scenario, as for `load_scenario`.
    repeat, seed
        What counts instead of what the files say.

    Raises
    ------
    ScenarioError
        Something can't be read or is wrong; a line for each problem.
    """
    reading = _Reading(overrides, repeat)
    for path in paths:
        reading.add(path)
    if reading.complaints:
        raise ScenarioError(first_of(list(reading.complaints)))
    name = "suite"
    if len(paths) == 1:
        whole = paths[0].resolve()
        name = whole.name if whole.is_dir() else next(iter(reading.suite_names), whole.stem)
    seed = next(iter(reading.seeds), 0) if seed is None else seed
    return Suite(name, seed, tuple(reading.scenarios))


class _Reading:
    """What was read so far, and what was wrong with it."""

    def __init__(self, overrides: Sequence[str], repeat: int | None) -> None:
        self.scenarios: list[Planned | NotPossible] = []
        self.complaints: dict[str, None] = {}  # each once, in order: what all scenarios share appears once
        self.suite_names: list[str] = []
        self.seeds: list[int] = []
        self._overrides = overrides
        self._repeat = repeat
        self._names: dict[str, str] = {}
        self._told: set[Place] = set()  # where a suite is wrong, its scenarios are, too

    def add(self, path: Path) -> None:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            self._complain(f"{path}: no scenario is here: no file of this folder ends in .yaml")
        for file in files:
            try:
                document = read_document(file, _spelling)
                if is_suite(document):
                    self._add_suite(document, file)
                else:
                    self._add_scenario(document, file)
            except ScenarioError as error:
                self._complain(str(error))

    def _complain(self, lines: str) -> None:
        self.complaints |= dict.fromkeys(lines.splitlines())

    def _complain_all(self, problems: Sequence[Problem]) -> None:
        for problem in sorted(problems, key=lambda problem: problem.place):
            if problem.place not in self._told:
                self._complain(str(problem))

    def _add_scenario(
        self, document: Document, file: Path, defaults: Document | None = None, repeat: int | None = None
    ) -> None:
        if defaults is not None:
            own, document = document, Document({}, values={(): document.place(())})
            merge(document, defaults, ("defaults",))
            merge(document, own)
            document.problems += own.problems
            document.unread |= own.unread
        name_place = document.place(("name",))
        scenario, problems = check_scenario(document, file.stem, self._overrides)
        self._complain_all(problems)
        if scenario is None:
            return
        if first := self._names.get(scenario.name):
            words = f"name {scenario.name!r} is that of {first}, too; give it another with the key name"
            self._complain(str(Problem(name_place, words)))
        self._plan(
            Planned(scenario, self._repeat or repeat or scenario.repeat, of_matrix=False), str(name_place)
        )

    def _plan(self, planned: Planned | NotPossible, place: str) -> None:
        self._names.setdefault(planned.name, place)
        self.scenarios.append(planned)

    def _add_suite(self, document: Document, file: Path) -> None:
        data = document.data
        name = written if isinstance(written := data.get("name"), str) else file.stem
        matrix = Matrix(document, name)
        problems = [*document.problems, *find_nulls(document), *matrix.problems]
        try:
            SuiteFile.model_validate(data)
        except ValidationError as error:
            problems += explain(error, document, _keys_at)
        problems += matrix.overridden(self._overrides)
        if isinstance(defaults := data.get("defaults"), dict) and "name" in defaults:
            words = "defaults.name: each scenario needs its own; take it out"
            problems.append(Problem(document.keys["defaults", "name"], words))
        if not (data.get("scenarios") or data.get("matrix") or problems):
            problems.append(
                Problem(document.place(()), "the suite holds no scenario; list some, or a matrix")
            )
        self._complain_all(problems)
        self._told |= {problem.place for problem in problems}
        self.suite_names.append(name)
        self.seeds += [data["seed"]] if "seed" in data else []
        entries = data.get("scenarios")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, str):
                self._add_entry(document, ("scenarios", index), file.parent / entry)
        self._add_matrix(matrix, data.get("repeat"), str(document.place(("matrix",))))

    def _add_entry(self, document: Document, at: KeyPath, file: Path) -> None:
        try:
            own = read_document(file, _spelling)
        except ScenarioError as error:
            place = str(document.place(at))
            self._complain("\n".join(f"{place}: {line}" for line in str(error).splitlines()))
            return
        if is_suite(own):
            words = prefixed(at, f"{file} is a suite itself; a suite lists scenarios only")
            self._complain(str(Problem(document.place(at), words)))
            return
        defaults = document if isinstance(document.data.get("defaults"), dict) else None
        self._add_scenario(own, file, defaults, document.data.get("repeat"))

    def _add_matrix(self, matrix: Matrix, repeat: int | None, place: str) -> None:
        for made in matrix.combinations():
            if first := self._names.get(made.name):
                self._complain(
                    f"{place}: the matrix makes a scenario {made.name!r}, whose name is that of {first}"
                )
            scenario, problems = check_scenario(made.document, made.name, self._overrides)
            if scenario is not None:
                times = self._repeat or repeat or scenario.repeat
                self._plan(Planned(scenario, times, of_matrix=True), place)
            elif all(problem.impossible for problem in problems):
                reason = "; ".join(problem.words for problem in problems)
                self._plan(NotPossible(made.name, made.strategy, reason), place)
            else:
                self._complain_all([problem for problem in problems if not problem.impossible])


def _spelling(path: KeyPath, key: str) -> str:
    """Give the one spelling of a key of a suite or of a scenario, whichever it turns out to be."""
    match path:
        case ("defaults", *inner) | ("adjust", int(), "set", *inner):
            return spelling(tuple(inner), key)
        case ("matrix", str(axis), int(), *inner):
            return spelling((*key_path(axis), *inner), key)
    return spelling(path, key)


def _keys_at(path: KeyPath) -> list[str]:
    if path == ():
        return list(SuiteFile.model_fields)
    return list(Adjustment.model_fields) if path[:1] == ("adjust",) and len(path) == 2 else []

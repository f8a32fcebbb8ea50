"""Which results there are: a row for each, and one of them by its name."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from harness.common.text import printable
from harness.errors import ResultError
from harness.results.folder import INCOMPLETE
from harness.summary.run import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

LATEST: Final = "latest"
"""The word for the result whose run began last."""

State = Literal["whole", "interrupted", "incomplete", "damaged"]


@dataclass(frozen=True)
class Listed:
    """One result's folder, and what it says of itself.

    Attributes
    ----------
    folder
        Where it lies.
    state
        `whole`; `interrupted`: ended early, with all that was measured until then; `incomplete`: its run was
        killed, there is a recording and no summary; `damaged`: its summary can't be read.
    summary
        What summary.json holds; None where `state` is `incomplete` or `damaged`.
    problem
        What is wrong with a damaged one; else empty.
    """

    folder: Path
    state: State
    summary: Summary | None = None
    problem: str = ""

    @property
    def started_at(self) -> str:
        """Give when the run began, in UTC (ISO 8601); empty where it isn't known."""
        return self.summary.started_at if self.summary else ""

    @property
    def worst_deviation(self) -> float | None:
        """Give the deviation of the instance that deviates most, relative to its expected share."""
        rows = self.summary.instances if self.summary else ()
        return max((row.deviation for row in rows if row.deviation is not None), key=abs, default=None)


def list_results(folder: Path) -> list[Listed]:
    """Give all results in a folder, those first whose run began first.

    What has no time, because its summary is missing or damaged, comes where its name's time puts it.

    Raises
    ------
    ResultError
        There is no such folder, or it can't be read.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except NotADirectoryError:
        raise ResultError(f"{_shown(folder)}: is no folder; name the one that results are in") from None
    except FileNotFoundError:
        raise ResultError(
            f"{_shown(folder)}: does not exist; `harness run SCENARIO` makes results, in the folder results"
        ) from None
    except OSError as error:
        raise ResultError(f"{_shown(folder)}: can't be read: {error.strerror}") from error
    listed = [one for path in found if (one := _listed(path))]
    return sorted(listed, key=_moment)


def find_result(word: str, results: Path) -> Path:
    """Find a result by its folder, by its name below the folder of all results, or by the word `latest`.

    Raises
    ------
    ResultError
        There is none; says which come near.
    """
    # Of os.path, since it takes a name that is too long for one that isn't there.
    if word == LATEST and not os.path.exists(word):  # noqa: PTH110  see above
        readable = [one for one in list_results(results) if one.summary]
        if not readable:
            raise ResultError(f"{_shown(results)}: has no result yet; `harness run SCENARIO` makes one")
        return readable[-1].folder
    for path in (Path(word), results / word):
        if os.path.isdir(path):  # noqa: PTH112  as above
            return path
        if path.name == "summary.json" and path.is_file():
            return path.parent
    if os.path.exists(word):  # noqa: PTH110  as above
        raise ResultError(f"{printable(word)}: is no folder; name a result's, which `harness run` left")
    raise ResultError(
        f"{printable(word)}: there is no such result, here or below {_shown(results)}{_near(word, results)}"
    )


def read_summary(folder: Path) -> Summary:
    """Read what a result says, whether or not its requests are there.

    Raises
    ------
    ResultError
        It has no summary, or one that can't be read.
    """
    listed = _listed(folder)
    if listed and listed.summary:
        return listed.summary
    if listed and listed.state == "incomplete":
        raise ResultError(
            f"{_shown(folder)}: is incomplete: its run was killed, so there is no summary; requests.parquet "
            "has what was recorded until then"
        )
    if listed:
        raise ResultError(f"{_shown(folder / 'summary.json')}: {listed.problem}; run the scenario again")
    raise ResultError(f"{_shown(folder)}: is no result: it has no summary.json, which `harness run` leaves")


def results_json(listed: list[Listed]) -> str:
    """Give all results as one line of JSON."""
    return json.dumps({"schema": 1, "results": [_entry(one) for one in listed]})


def _entry(one: Listed) -> dict[str, object]:
    entry: dict[str, object] = {"name": one.folder.name, "folder": str(one.folder), "state": one.state}
    if one.problem:
        entry["problem"] = one.problem
    if summary := one.summary:
        entry |= {
            "scenario": summary.name,
            "started_at": summary.started_at,
            "strategy": summary.strategy,
            "host": summary.host,
            "engine": summary.engine,
            "replicas": summary.replicas,
            "connections": summary.counts.connections,
            "requests": summary.counts.requests,
            "verdict": summary.verdict,
            "passed": summary.passed,
            "worst_deviation": one.worst_deviation,
        }
    return entry


def _listed(folder: Path) -> Listed | None:
    """Look at a folder; None where it is no result."""
    try:
        text = (folder / "summary.json").read_bytes()
    except FileNotFoundError:
        if folder.name.endswith(INCOMPLETE) or (folder / "requests.parquet").exists():
            return Listed(folder, "incomplete")
        return None
    except OSError as error:
        return Listed(folder, "damaged", problem=f"can't be read: {error.strerror}")
    try:
        summary = Summary.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "text"
        return Listed(
            folder, "damaged", problem=printable(f"is not what it should be: {place}: {first['msg']}")
        )
    return Listed(folder, "interrupted" if summary.interrupted else "whole", summary)


def _moment(one: Listed) -> tuple[float, str]:
    """Give when a result's run began; from the name where nothing else says so."""
    if one.started_at:
        return datetime.fromisoformat(one.started_at).timestamp(), one.folder.name
    for moment in _stamps(one.folder.name):
        return moment, one.folder.name
    return one.folder.stat().st_mtime, one.folder.name


def _stamps(name: str) -> Iterator[float]:
    """Give the moments that a folder's name ends with (`harness.results.folder`): one or none."""
    words = name.removesuffix(INCOMPLETE).split("-")
    for index in range(len(words) - 1, 0, -1):
        try:
            yield datetime.strptime(
                f"{words[index - 1]}-{words[index]} +0000", "%Y%m%d-%H%M%S %z"
            ).timestamp()
        except ValueError:
            continue


def _near(word: str, results: Path) -> str:
    """Name results that the user may have meant."""
    from difflib import get_close_matches  # noqa: PLC0415  only a wrong word needs it

    try:
        names = [one.folder.name for one in list_results(results)]
    except ResultError:
        return ""
    begun = [name for name in names if name.startswith(word)][-3:]
    near = begun or get_close_matches(word, names, n=3)
    return (
        f"; did you mean {' or '.join(map(printable, near))}?"
        if near
        else "; harness list results shows them"
    )


def _shown(path: Path) -> str:
    return printable(str(path))

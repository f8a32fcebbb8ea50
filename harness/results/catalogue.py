"""Which results there are: a row for each, and one of them by its name."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.common.text import printable
from harness.errors import ResultError
from harness.results.folder import INCOMPLETE
from harness.results.reading import SUMMARY, look_at, subfolders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.results.reading import Listed

LATEST: Final = "latest"
"""The word for the result whose run began last."""


def list_results(folder: Path) -> list[Listed]:
    """Give all results in a folder, those first whose run began first.

    What has no time, because its summary is missing or damaged, comes where its name's time puts it.

    Raises
    ------
    ResultError
        There is no such folder, or it can't be read.
    """
    try:
        found = subfolders(folder)
    except NotADirectoryError:
        raise ResultError(f"{_shown(folder)}: is no folder; name the one that results are in") from None
    except FileNotFoundError:
        raise ResultError(
            f"{_shown(folder)}: does not exist; `harness run SCENARIO` makes results, in the folder results"
        ) from None
    except OSError as error:
        raise ResultError(f"{_shown(folder)}: can't be read: {error.strerror}") from error
    listed = [one for path in found if (one := look_at(path))]
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
        if path.name == SUMMARY and path.is_file():
            return path.parent
    if os.path.exists(word):  # noqa: PTH110  as above
        raise ResultError(f"{printable(word)}: is no folder; name a result's, which `harness run` left")
    raise ResultError(
        f"{printable(word)}: there is no such result, here or below {_shown(results)}{_near(word, results)}"
    )


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

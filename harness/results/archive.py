"""The results of a suite in a form that is small enough to be committed.

A folder holds runs.jsonl, the summary of every run in a line of its own; suite.json, what came of each
run, those too that left no result; machine.json, what it was measured on; and a few results whole.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.common.documents import first_problem
from harness.common.files import explained, read_file
from harness.common.text import printable
from harness.errors import ResultError
from harness.results.reading import read_results
from harness.summary.run import Summary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from harness.summary.suite import SuiteSummary

RUNS = "runs.jsonl"
MACHINE = "machine.json"
SUITE = "suite.json"

_REDRAWN = ".png"
"""What can be drawn anew from the rest of a result, and is left out."""


class Machine(BaseModel):
    """What a suite was measured on, and when: from the first run's start to the last's, in UTC.

    `cores` are those that this process may use; `memory_bytes` is all memory that the kernel has.
    `virtual` tells whether the processor says that it is a virtual machine's. Of `versions`, more than one
    stand where runs had different ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Goes up when a reader of older files would misread a newer one.
    schema_version: Literal[1] = Field(default=1, alias="schema")
    cpu: str
    cores: int
    memory_bytes: int
    virtual: bool
    kernel: str
    system: str
    first_run_at: str
    last_run_at: str
    versions: dict[str, str]


def this_machine(summaries: Collection[Summary]) -> Machine:
    """Describe the machine that this process runs on, with when it made these results, and by what."""
    begun = sorted(summary.started_at for summary in summaries)
    versions: dict[str, set[str]] = {}
    for summary in summaries:
        for part, version in summary.versions.items():
            versions.setdefault(part, set()).add(version)
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", processor, re.MULTILINE)
    flags = re.search(r"^flags\s*:(.*)$", processor, re.MULTILINE)
    return Machine(
        cpu=model[1] if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        virtual=flags is not None and "hypervisor" in flags[1].split(),
        kernel=platform.release(),
        system=platform.freedesktop_os_release()["PRETTY_NAME"],
        first_run_at=begun[0],
        last_run_at=begun[-1],
        versions={part: ", ".join(sorted(found)) for part, found in sorted(versions.items())},
    )


def condense(suite: SuiteSummary, target: Path, whole: Iterable[str] = (), most_bytes: int = 4 << 20) -> None:
    """Write what a suite measured on this machine, in place of what stood there.

    Parameters
    ----------
    suite
        What came of it; the results' folders that it names are read.
    target
        The folder to write; whole, or not at all.
    whole
        The scenarios whose first result is to be kept as it is, but for its plots.
    most_bytes
        How large the folder may become.

    Raises
    ------
    ResultError
        Nothing was measured, a result can't be read, a scenario is none of the suite's, the folder
        would be too large, or it can't be written.
    """
    measured = {outcome.result: scenario.name for scenario, outcome in suite.outcomes() if outcome.result}
    if not measured:
        raise ResultError(f"{printable(suite.name)}: no run of this suite left a result")
    summaries = {folder: _summary(Path(folder)) for folder in measured}
    hidden = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    with explained(target):
        hidden.mkdir(parents=True)
        try:
            lines = [summary.model_dump_json(by_alias=True) + "\n" for summary in summaries.values()]
            (hidden / RUNS).write_text("".join(lines), encoding="utf-8")
            machine = this_machine(summaries.values()).model_dump_json(by_alias=True, indent=2)
            (hidden / MACHINE).write_text(machine + "\n", encoding="utf-8")
            (hidden / SUITE).write_text(_without_figures(suite).to_json() + "\n", encoding="utf-8")
            for name in whole:
                _copy(Path(_first(name, measured)), hidden)
            _refuse_large(hidden, most_bytes)
            shutil.rmtree(target, ignore_errors=True)
            hidden.rename(target)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def read_runs(folder: Path) -> list[Summary]:
    """Read the summaries of runs.jsonl, in the order of the suite's scenarios.

    Raises
    ------
    ResultError
        It can't be read, or a line is no summary.
    """
    path = folder / RUNS
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ResultError(f"{printable(str(path))}: can't be read: {why}") from error
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1)]


def condensed_below(folder: Path) -> list[Path]:
    """Give the folders of condensed results that a folder is, or that are right in it."""
    return sorted(path.parent for path in (*folder.glob(RUNS), *folder.glob(f"*/{RUNS}")))


def name_of(summary: Summary) -> str:
    """Name a condensed run as its folder was, but for the seconds between the load's start and its end."""
    return f"{summary.name}-{datetime.fromisoformat(summary.started_at):%Y%m%d-%H%M%S}"


def _parsed(path: Path, number: int, line: str) -> Summary:
    try:
        return Summary.model_validate_json(line)
    except ValidationError as error:
        raise ResultError(
            f"{printable(str(path))}:{number}: is no run's summary: {first_problem(error)} "
            f"(make reference measures anew)"
        ) from None


def _summary(folder: Path) -> Summary:
    ((_, summary),) = next(iter(read_results([folder]).values()))
    return summary


def _without_figures(suite: SuiteSummary) -> SuiteSummary:
    """Leave out what the runs' summaries say as well, and where the results lay."""
    scenarios = [
        scenario.model_copy(
            update={
                "outcomes": tuple(
                    outcome.model_copy(update={"figures": None, "result": _name(outcome.result)})
                    for outcome in scenario.outcomes
                )
            }
        )
        for scenario in suite.scenarios
    ]
    return suite.model_copy(update={"scenarios": tuple(scenarios)})


def _name(folder: str | None) -> str | None:
    return None if folder is None else Path(folder).name


def _first(name: str, measured: dict[str, str]) -> str:
    for folder, scenario in measured.items():
        if scenario == name:
            return folder
    raise ResultError(f"{printable(name)}: no run of the suite that left a result has this name")


def _copy(folder: Path, target: Path) -> None:
    kept = target / folder.name
    kept.mkdir()
    for file in folder.iterdir():
        if file.suffix != _REDRAWN:
            shutil.copyfile(file, kept / file.name)


def _refuse_large(folder: Path, most_bytes: int) -> None:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > most_bytes:
        raise ResultError(
            f"the condensed results are {size / 2**20:.1f} MiB, and {most_bytes / 2**20:.1f} MiB are what "
            f"is committed: keep fewer results whole, or a shorter load for them"
        )

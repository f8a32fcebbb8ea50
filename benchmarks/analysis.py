"""What the analysis of ten million requests takes: time and memory of each step.

    python benchmarks/analysis.py [--requests N] [--case NAME ...] [--seed N]

The recordings are made up, in the generator's own format: closed-loop users, latencies that vary, one
request in ten thousand failed. Everything that reads them is the harness itself. Each step runs in a
process of its own, which first reads the recording: memory is the largest that the whole process had, the
recording and the interpreter included; time is the step's alone. Prints a Markdown table. The exit status
is 1 where a summary takes more than 8 seconds of processor time, which holds on a busy machine too (it has
one thread), or more than 1 GiB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from harness.analysis.early_stop import InterimLook
from harness.analysis.observed import Balancing, Observed
from harness.analysis.summarise import summarise
from harness.load.driver import PhaseResult
from harness.recording.layout import NO_INSTANCE, NOT_THERE, TIMED_OUT, dtype
from harness.recording.table import Recording
from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import latency_figure
from harness.report.plots.save import save
from harness.scenario import load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.summary.run import Summary

_T = TypeVar("_T")

_SCENARIO: Final = Path(__file__).parent.parent / "scenarios" / "dnat-10.yaml"
_USERS: Final = 16
_FAILED: Final = 1e-4
_LOOKS: Final = 600
_MOST_SECONDS: Final = 8.0
_MOST_MIB: Final = 1024.0
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Case:
    """What is recorded: instances, requests on a connection, and whether the load watched its counts."""

    title: str
    instances: int
    requests_per_connection: int
    watched: bool = False

    def names(self) -> list[str]:
        """Name the instances."""
        return [f"instance-{number}" for number in range(1, self.instances + 1)]


CASES: Final = {
    "each": Case("10 instances, a connection a request", 10, 1),
    "kept": Case("10 instances, 100 requests a connection", 10, 100),
    "many": Case("1,000 instances, a connection a request", 1000, 1),
    "watched": Case(
        f"10 instances, a connection a request, {_LOOKS} looks while it ran", 10, 1, watched=True
    ),
}


@dataclass(frozen=True)
class Task:
    """A step to be measured: the case, how many requests, and the folder with its files."""

    case: Case
    step: str
    requests: int
    folder: Path
    seed: int

    @property
    def recorded(self) -> Path:
        """The generator's file."""
        return self.folder / "records"

    @property
    def parquet(self) -> Path:
        """The result's file."""
        return self.folder / "requests.parquet"

    def read(self) -> Recording:
        """Read what the generator would have written."""
        rows = np.fromfile(self.recorded, dtype())
        return Recording.of_run(rows, self.case.names(), self.case.names())


@dataclass(frozen=True)
class Cost:
    """What a step took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def make(task: Task) -> None:
    """Write the records that the users' requests leave, in the order in which they end."""
    rng = np.random.default_rng(task.seed)
    each, size = task.requests // _USERS, task.case.requests_per_connection
    latencies = rng.lognormal(13.8, 0.5, (_USERS, each)).astype(np.int64)
    # A closed loop: the next request starts some 30 us after the last one's answer.
    pauses = rng.integers(20_000, 40_000, (_USERS, each))
    starts = 10**12 + (latencies + pauses).cumsum(axis=1) - latencies
    firsts = starts[:, ::size].ravel()
    serials = np.empty(firsts.size, dtype=np.uint32)
    serials[np.argsort(firsts)] = np.arange(firsts.size)
    chosen = rng.integers(task.case.instances, size=firsts.size)
    order = np.argsort((starts + latencies).ravel())
    with task.recorded.open("wb") as file:
        for begin in range(0, order.size, _CHUNK):
            user, number = np.divmod(order[begin : begin + _CHUNK], each)
            connection = serials[user * (firsts.size // _USERS) + number // size]
            rows = np.zeros(user.size, dtype())
            rows["start_ns"] = rows["intended_start_ns"] = starts[user, number]
            rows["latency_ns"] = latencies[user, number]
            rows["connection"], rows["instance"] = connection, chosen[connection]
            rows["source"], rows["status"] = user, 200
            begins = number % size == 0
            rows["connect_ns"] = np.where(begins, rows["latency_ns"] // 5, NOT_THERE)
            rows["first_byte_ns"] = rows["latency_ns"] - 10_000
            failed = rng.random(user.size) < _FAILED
            rows["error"][failed], rows["instance"][failed] = TIMED_OUT, NO_INSTANCE
            rows["status"][failed], rows["first_byte_ns"][failed] = 0, NOT_THERE
            rows.tofile(file)


def measure(task: Task) -> Cost:
    """Do a step, and say what it took."""
    step = STEPS[task.step](task)
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    step()
    wall_s, ended = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime
    return Cost(wall_s, cpu_s, ended.ru_maxrss / 1024)


def _summarised(task: Task, recording: Recording) -> Callable[[], Summary]:
    changes = [f"replicas={task.case.instances}", f"load.users={_USERS}"]
    scenario = load_scenario(_SCENARIO, changes)
    wall_ns = int(recording.rows["start_ns"][-1]) - recording.started_ns
    seen = np.linspace(0, len(recording.rows), _LOOKS + 1, dtype=np.int64)[1:].tolist()
    looks = [InterimLook(records, wall_ns * records // len(recording.rows)) for records in seen]
    observed = Observed(
        balancing=Balancing("connection", [1 / task.case.instances] * task.case.instances),
        load=PhaseResult(tuple(task.case.names()), len(recording.rows), 0, {}, wall_ns, wall_ns // 2, None),
        looks=[looks] if task.case.watched else None,
    )
    return lambda: summarise(scenario, recording, observed)


def _summary(task: Task) -> Callable[[], object]:
    return _summarised(task, task.read())


def _pictures(task: Task) -> Callable[[], object]:
    recording = task.read()
    summary = _summarised(task, recording)()

    def draw() -> None:
        save(distribution_figure(summary), task.folder / "distribution.png")
        save(latency_figure(recording, summary), task.folder / "latency.png")

    return draw


def _written(task: Task) -> Callable[[], object]:
    recording = task.read()
    return lambda: recording.to_parquet(task.parquet)


STEPS: Final[dict[str, Callable[[Task], Callable[[], object]]]] = {
    "records read": lambda task: task.read,
    "summary": _summary,
    "pictures": _pictures,
    "Parquet written": _written,
    "Parquet read": lambda task: lambda: Recording.from_parquet(task.parquet),
}


def _alone(function: Callable[[Task], _T], task: Task) -> _T:
    """Call a function in a process of its own, which has imported nothing for others."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, task).result()


def _row(case: Case, step: str, requests: int, cost: Cost) -> str:
    figures = f"{cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mib:,.0f}"
    return f"| {case.title} | {step} | {requests:,} | {figures} |"


def main() -> int:
    """Measure every step of every case, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--case", choices=CASES, action="append", help="one of them; default: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    requests = options.requests - options.requests % _USERS
    print("| Recording | Step | Requests | Wall (s) | CPU (s) | Peak memory (MiB) |")
    print("|---|---|--:|--:|--:|--:|")
    failures = []
    for case in [CASES[name] for name in options.case or CASES]:
        with tempfile.TemporaryDirectory() as folder:
            tasks = [Task(case, step, requests, Path(folder), options.seed) for step in STEPS]
            _alone(make, tasks[0])
            for task in tasks:
                cost = _alone(measure, task)
                print(_row(case, task.step, requests, cost), flush=True)
                if task.step == "summary" and (cost.cpu_s > _MOST_SECONDS or cost.peak_mib > _MOST_MIB):
                    failures.append(f"{case.title}: {cost.cpu_s:.1f} s, {cost.peak_mib:,.0f} MiB")
    for failure in failures:
        print(
            f"a summary takes more than {_MOST_SECONDS:g} s or {_MOST_MIB:g} MiB: {failure}", file=sys.stderr
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""Are the latencies that the harness records true? Compared with what the server itself has logged.

    .venv/bin/python benchmarks/latency_truth.py [--rounds 1] [--seconds 10] [--stall-seconds 30]

A server of our own (latency_server.c, compiled at the start, a new process for each load) notes for each
request when it had read it, when it began to answer and when it had answered. It reads the same clock as the
generator, on the same machine, so both can be compared to the nanosecond.

1. The server answers 5 ms after it has read a request. Quantiles of the recorded latency are compared with
   those of what the server logged, answered less read: each must be within 3 %. Requests are also compared
   one by one, the nth of a connection with the nth that the server read from it: every record must begin
   before the server had read and end after it began to answer, and none may be missing on either side. Two
   rows say where a record is longer: `there` is from the record's start until the server had read, with its
   waking up; `back` from the answer's sending to the record's end, with the generator's. Requests that opened
   their connection are left out of the quantiles on both sides, because the harness counts connecting, which
   this server can't see; one by one, they are compared like all others.

2. The server does nothing for 1 s in every 10 s, else it answers at once. An arrival that waits for nobody's
   answer falls into a stall with probability 0.1, and waits U(0 s, 1 s) then. So P(wait > w) =
   0.1 (1 - w / 1 s), and the quantile of a share q is 1 s - (1 - q) 10 s, where that is positive: the p99 is
   0.9 s, the p99.9 0.99 s. An open loop has to show this p99 from the intended start, to 10 %, and also with
   eight connections only, where arrivals wait for a free one. Counted from sending (`sent`), these hide it:
   eight requests of each stall are seen to wait, out of a thousand. A closed loop hides it, too: its users
   wait while the server stands still, and each has one slow request. And so does the server's own log, whose
   time begins when it reads. What is said to hide the stall is asked to, or it would be said in vain.

Beside these stand Locust's FastHttpUser as the harness records it, Locust by itself (the quantiles of its
CSV file) and wrk. Nothing is asked of them. Before wrk prints quantiles, it adds requests that it takes to
have been left out, one at each mean interval of a connection. So its table shows the stall as an open loop
at wrk's own full rate would have met it: an estimate, of requests that nobody sent.

With several rounds, each figure is the median of the rounds'. The exit status is 1 where something asked for
is missed, 2 where a program is missing or a load failed. A machine that is busy, or slow to wake a process,
makes records longer than the server's times: truly so, since clients wait for that, too.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks._latency import (
    Server,
    compile_server,
    paired,
    run_locust,
    run_wrk,
    took_ns,
)
from benchmarks._load import SECOND_NS, Generator
from harness.errors import HarnessError, LoadError
from harness.load.profile import LoadProfile
from harness.recording.layout import NOT_THERE
from harness.stats.latency import SHARES, Quantiles, quantiles_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

DELAY_NS: Final = 5_000_000
PERIOD_NS: Final = 10 * SECOND_NS
STALL_NS: Final = SECOND_NS
RATIO_OFF: Final = 0.03
STALL_OFF: Final = 0.1
HIDDEN: Final = 0.1
"""Of the true p99: a load whose p99 is below that share of it doesn't show the stall."""

NAMES: Final = ("p50", "p90", "p99", "p99.9", "max")


@dataclass(frozen=True)
class Load:
    """A load that the generator drives: arrivals at a rate, or users in a closed loop."""

    name: str
    users: int
    rate_per_s: float | None = None
    poisson: bool = False
    user: str = "wire"

    @property
    def sent(self) -> str:
        """Name it where latency counts from sending."""
        return f"{self.name}, sent"

    def profile(self, port: int, seconds: float) -> LoadProfile:
        """Give what the generator needs to know."""
        stages = ((self.rate_per_s, int(seconds * SECOND_NS)),) if self.rate_per_s else ()
        return LoadProfile(
            address="127.0.0.1",
            port=port,
            path="/",
            headers={},
            users=self.users,
            requests_per_connection=None,
            timeout_ns=5 * SECOND_NS,
            identity_header=None,
            identity_body=None,
            sources=(),
            seed=1,
            user="http" if self.user == "http" else "wire",
            stages=stages,
            poisson=self.poisson,
        )


DELAYED: Final = (
    Load("closed loop, 8 connections", 8),
    Load("open loop, 100/s", 64, 100),
    Load("open loop, 100/s, Poisson", 64, 100, poisson=True),
    Load("open loop, 400/s", 64, 400),
    Load("open loop, 400/s, Poisson", 64, 400, poisson=True),
)
OPEN: Final = (
    Load("open loop, 100/s, 120 connections", 120, 100),
    Load("open loop, 100/s, 8 connections", 8, 100),
)
CLOSED: Final = (
    Load("closed loop, 1 user", 1),
    Load("closed loop, 8 users", 8),
)
HTTP: Final = Load("FastHttpUser in the harness, 8 users", 8, user="http")


@dataclass(frozen=True)
class Asked:
    """Something that has to be so, and whether it is."""

    text: str
    met: bool


@dataclass(frozen=True)
class Row:
    """What one client measured in one round, and what the server logged meanwhile."""

    name: str
    requests: int
    quantiles: Quantiles
    server: Quantiles


class Bench:
    """Everything that loads need.

    Parameters
    ----------
    folder
        For the server, its log, and Locust's files.
    generator
        One process for all loads, as in a run.
    """

    def __init__(self, folder: Path, generator: Generator) -> None:
        self._folder = folder
        self._generator = generator
        self._program = compile_server(folder)

    def _server(self, *times_ns: int) -> Server:
        return Server(self._program, self._folder / "log", *times_ns)

    def delayed(self, load: Load, seconds: float) -> tuple[Array, Array]:
        """Drive a load at the server that takes 5 ms, and give records and log, request by request."""
        with self._server(DELAY_NS) as server:
            _, records = self._generator.drive(load.profile(server.port, seconds), seconds)
            return paired(records, server.end())

    def stalled(self, load: Load, seconds: float) -> list[Row]:
        """Drive a load at the server that stalls: from the intended start and, if open, from sending, too."""
        with self._server(0, PERIOD_NS, STALL_NS) as server:
            _, records = self._generator.drive(load.profile(server.port, seconds), seconds)
            logged = quantiles_ns(took_ns(server.end()))
        waited_ns = records["start_ns"] - records["intended_start_ns"]
        whole = quantiles_ns(waited_ns + records["latency_ns"])
        if load.rate_per_s is None:
            return [Row(load.name, len(records), whole, logged)]
        return [
            Row(load.name, len(records), whole, logged),
            Row(load.sent, len(records), quantiles_ns(records["latency_ns"]), logged),
        ]

    def tool(self, name: str, run: Callable[[str, int, Path], Quantiles], seconds: int) -> Row:
        """Let another load generator ask the server that stalls."""
        with self._server(0, PERIOD_NS, STALL_NS) as server:
            quantiles = run(f"http://127.0.0.1:{server.port}/", seconds, self._folder)
            log = server.end()
        return Row(name, len(log), quantiles, quantiles_ns(took_ns(log)))


def ms(quantiles: Sequence[float | None]) -> str:
    """Make the cells of a row."""
    return "".join(f"{'-' if value is None else f'{value / 1e6:,.3f}':>11}" for value in quantiles)


def medians(rounds: Sequence[Quantiles]) -> list[float | None]:
    """Give the median of each quantile over the rounds; what one of them doesn't have, all haven't."""
    return [None if None in each else statistics.median(each) for each in zip(*rounds, strict=True)]


def show_delayed(load: Load, rounds: Sequence[tuple[Array, Array]]) -> list[Asked]:
    """Print what both sides say of a load at the server that takes 5 ms."""
    server, wire, there, back = [], [], [], []
    enclosed = requests = 0
    for records, log in rounds:
        ends_ns = records["start_ns"] + records["latency_ns"]
        inside = (records["start_ns"] <= log["read_ns"]) & (log["sending_ns"] <= ends_ns)
        enclosed += int(np.count_nonzero(inside))
        requests += len(records)
        kept = records["connect_ns"] == NOT_THERE
        server.append(quantiles_ns(took_ns(log)[kept]))
        wire.append(quantiles_ns(records["latency_ns"][kept]))
        there.append(quantiles_ns((log["read_ns"] - records["start_ns"])[kept]))
        back.append(quantiles_ns((ends_ns - log["sending_ns"])[kept]))
    ratios = np.array(wire)[:, : len(SHARES)] / np.array(server)[:, : len(SHARES)]
    print(f"\n{load.name}: {requests:,} requests")
    for name, figures in (("server", server), ("wire", wire), ("there", there), ("back", back)):
        print(f"  {name:<38}{ms(medians(figures))}")
    for name, over in (("lowest ratio", np.min), ("ratio", np.median), ("highest ratio", np.max)):
        if name == "ratio" or len(rounds) > 1:
            print(f"  {name:<38}{''.join(f'{value:>11.4f}' for value in over(ratios, axis=0))}")
    ratio = np.median(ratios, axis=0)
    worst = int(np.abs(ratio - 1).argmax())
    return [
        Asked(
            f"{load.name}: recorded / logged is {ratio[worst]:.4f} at {NAMES[worst]}, farthest from 1 "
            f"(at most {RATIO_OFF:.0%} off)",
            bool(abs(ratio[worst] - 1) <= RATIO_OFF),
        ),
        Asked(
            f"{load.name}: {enclosed:,} of {requests:,} records enclose what the server logged (all)",
            enclosed == requests,
        ),
    ]


def true_ns(share: float) -> int:
    """Give the quantile of the wait of arrivals at the server that stalls; derived at the top."""
    return max(round(STALL_NS - (1 - share) * PERIOD_NS), 0)


def show_stalled(rows: Sequence[Row]) -> None:
    """Print what all clients say of the server that stalls; rows with the same name are rounds."""
    derived = [*map(true_ns, SHARES.values()), STALL_NS]
    print(f"\n{'derived for arrivals':<40}{'':>11}{ms(derived)}")
    for name in dict.fromkeys(row.name for row in rows):
        rounds = [row for row in rows if row.name == name]
        requests = f"{statistics.median(row.requests for row in rounds):,.0f}"
        logged = medians([row.server for row in rounds])
        print(f"{name:<40}{requests:>11}{ms([*medians([row.quantiles for row in rounds]), logged[2]])}")


def judge_stalled(rows: Sequence[Row]) -> list[Asked]:
    """Say what of the stall has to be seen, and what can't be seen, and whether it is so."""
    truth_s = true_ns(SHARES["p99"]) / 1e9

    def p99_s(name: str) -> float:
        values = [row.quantiles.p99 for row in rows if row.name == name]
        return statistics.median(value / 1e9 for value in values if value is not None)

    shown = [
        Asked(
            f"{load.name}: p99 from the intended start is {p99_s(load.name):.4f} s "
            f"({truth_s:.1f} s, at most {STALL_OFF:.0%} off)",
            abs(p99_s(load.name) / truth_s - 1) <= STALL_OFF,
        )
        for load in OPEN
    ]
    hidden = [
        Asked(
            f"{name}: p99 is {p99_s(name):.4f} s and hides the stall (below {HIDDEN * truth_s:.2f} s)",
            p99_s(name) < HIDDEN * truth_s,
        )
        for name in (OPEN[1].sent, *(load.name for load in CLOSED))
    ]
    return shown + hidden


def measure(bench: Bench, options: argparse.Namespace) -> list[Asked]:
    """Drive all loads, print what they came to, and give what was asked of it."""
    asked: list[Asked] = []
    heading = "".join(f"{name:>11}" for name in NAMES)
    print(
        f"\n1. The server answers {DELAY_NS / 1e6:g} ms after reading; quantiles in ms\n\n{'':<40}{heading}"
    )
    for load in DELAYED:
        asked += show_delayed(load, [bench.delayed(load, options.seconds) for _ in range(options.rounds)])
    print(f"\n2. The server does nothing for {STALL_NS / 1e9:g} s in {PERIOD_NS / 1e9:g} s; quantiles in ms")
    print(f"\n{'':<40}{'requests':>11}{heading}{'server p99':>11}", flush=True)
    rows: list[Row] = []
    for _ in range(options.rounds):
        for load in (*OPEN, *CLOSED, HTTP):
            rows += bench.stalled(load, options.stall_seconds)
        rows.append(bench.tool("Locust by itself, 8 users", run_locust, options.stall_seconds))
        rows.append(bench.tool("wrk, 8 connections (corrected)", run_wrk, options.stall_seconds))
    show_stalled(rows)
    return asked + judge_stalled(rows)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, help="how often each load is driven")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of each load at the server that takes 5 ms"
    )
    parser.add_argument("--stall-seconds", type=int, default=30, help="of each at the one that stalls")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    if options.stall_seconds < 1 or options.stall_seconds % (PERIOD_NS // SECOND_NS):
        parser.error(f"--stall-seconds must be a multiple of {PERIOD_NS // SECOND_NS}: whole periods")
    return options


def main() -> int:
    """Measure, and print tables and what was asked for."""
    options = parse()
    missing = [
        f"{program} is missing: install the Debian package {package}"
        for program, package in (("cc", "gcc"), ("wrk", "wrk"))
        if shutil.which(program) is None
    ]
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 2
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(
        f"Linux {platform.release()}, {os.cpu_count()} cores, load averages {load}; {options.rounds} rounds"
    )
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            generator = stack.enter_context(Generator())
            if not generator.wire:
                raise LoadError(
                    "the compiled data plane is missing: install a C compiler, then the harness again"
                )
            asked = measure(Bench(folder, generator), options)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print()
    for each in asked:
        print(f"{'met' if each.met else 'missed':<8}{each.text}")
    return 0 if all(each.met for each in asked) else 1


if __name__ == "__main__":
    sys.exit(main())

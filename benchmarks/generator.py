"""What does it cost to send a request? The harness's load generator beside wrk, hey and FastHttpUser.

    .venv/bin/python benchmarks/generator.py [--rounds 3] [--seconds 3] [--connections 32] [--only NAME ...]
    .venv/bin/python benchmarks/generator.py --against FOLDER [--rounds 9] [--seconds 2]

One nginx with one worker answers all of them on the loopback interface, with a fixed body and a header that
names the instance. One load runs at a time. Each is driven with connections kept alive, and with one
connection per request. Rounds are interleaved: the first of all, then the second of all in the reverse order,
and so on, so that a machine that gets slower or faster meanwhile does so for everybody.

- `wrk`: one thread. `wrk-lua`: with a script that counts answers for each instance, the least that a
  distribution needs.
- `wire`: the harness's default, its engine in C with Locust's users. `engine`: that engine without Locust, in
  this process.
- `hey`, on as many processors as it likes.
- `gevent`: the harness's users of plain Python. `http`: Locust's FastHttpUser as the harness uses it.
- `locustfile`: a FastHttpUser with one task, `self.client.get("/")`, as people write it; the harness records
  what Locust tells it, which is part of the figure.

CPU time is user and system time of the generator alone, divided by the requests that it counted. For wrk and
hey it is the whole process, with some milliseconds in which it starts. For the harness's it is what its
generator reports: from the first user to the last request, after a short load that warms the process up, as
every run does. Ratios to wrk's are taken within each round, and their median is shown.

`counted` is what the generator says, `recorded` the packed records in the file, `served` what nginx counted
(stub_status), each over all rounds. The harness's own must have all three equal in every round. wrk and hey
drop what is under way at their end, so nginx may have served some more, one for each connection at most; more
than that ends the benchmark.

What the figures do not say: how fast a generator could be. Where the one worker of nginx limits requests/s, a
generator waits, and is woken for fewer answers at once, which costs more per request. So figures compare
within one run, not across machines. On the loopback interface a packet is delivered in the system time of who
sends it, receiving TCP included (softirq): all generators alike carry that for their requests, and nginx for
its answers. With one connection per request, wrk and hey send `Connection: close`, knowing no other way, so
the server closes and keeps the TIME_WAIT. The harness's end their connections themselves, as clients do, and
pay for that; they connect from sixteen addresses, wrk and hey from one.

`--against` measures `wire` alone, of this build and of one in another folder, in turn, and compares pairs.

The exit status is 1 where a target is missed, 2 where a program is missing or a load failed.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from benchmarks._against import compare
from benchmarks._load import (
    ADDRESS,
    INSTANCE,
    LOCUSTFILE,
    SECOND_NS,
    Generator,
    Measured,
    Nginx,
    find,
    run_engine,
    run_program,
)
from harness.common.signals import end_on_signals
from harness.errors import HarnessError, LoadError
from harness.hosts.netns import find_program
from harness.load.profile import LoadProfile

try:
    from harness.load import _wire
except ImportError:  # no compiler when the harness was installed
    _wire = None  # type: ignore[assignment]  # told by missing()

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Mode = Literal["kept alive", "one connection per request"]
KEPT: Final[Mode] = "kept alive"
CLOSED: Final[Mode] = "one connection per request"
MODES: Final = (KEPT, CLOSED)

NAMES: Final = ("wrk", "wire", "engine", "wrk-lua", "hey", "gevent", "http", "locustfile")
PLANES: Final = ("wire", "engine", "gevent", "http", "locustfile")
"""Those that write records."""

WARM_UP_S: Final = 0.25
MOST_CONNECTIONS: Final = 400
SOURCES: Final = tuple(f"127.0.0.{last}" for last in range(2, 18))

MOST_OF_WRK: Final = {KEPT: 1.0, CLOSED: 1.05}
"""What a request of `wire` may cost, wrk's being 1."""

LEAST_OF_WIRE: Final = 25.0
"""What a request of either FastHttpUser costs at least, that of `wire` being 1; kept alive."""

LUA: Final = """\
local threads = {}
counts = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function response(_, headers)
    local name = headers["X-Instance"]
    counts[name] = (counts[name] or 0) + 1
end

function done()
    for _, thread in ipairs(threads) do
        for name, count in pairs(thread:get("counts")) do
            print("counted " .. name .. " " .. count)
        end
    end
end
"""

CLOSES: Final = "        self.client.client.close()\n"


@dataclass(frozen=True)
class Result:
    """One load of one round, and what nginx served meanwhile."""

    mode: Mode
    name: str
    measured: Measured
    served: int

    @property
    def exact(self) -> bool:
        """Whether generator, file and server agree."""
        return self.measured.requests == self.measured.records == self.served


Results = dict[tuple[Mode, str], list[Result]]
"""The rounds of each, in order."""


class Bench:
    """What all loads need: the server, files, and how long and how wide a load is.

    Parameters
    ----------
    nginx, folder
        The server, and where scripts go.
    seconds, connections
        Of each load.
    """

    def __init__(self, nginx: Nginx, folder: Path, seconds: float, connections: int) -> None:
        self._nginx = nginx
        self._seconds = seconds
        self._connections = connections
        self._lua = folder / "count.lua"
        self._lua.write_text(LUA)
        self._locustfiles = {KEPT: folder / "kept_alive.py", CLOSED: folder / "closing.py"}
        self._locustfiles[KEPT].write_text(LOCUSTFILE)
        self._locustfiles[CLOSED].write_text(LOCUSTFILE + CLOSES)

    def measure(self, mode: Mode, name: str) -> Result:
        """Drive one load.

        Raises
        ------
        LoadError
            It failed, or it and nginx tell of numbers that can't both be true.
        """
        with self._prepared(mode, name) as drive:
            before = self._nginx.served()
            measured = drive()
        served = self._nginx.settled() - before
        if not measured.requests:
            raise LoadError(f"{name}, {mode}: not one request in {self._seconds:g} s")
        # Our own planes are judged; of the others, what was under way at the end may be missing.
        if name not in PLANES and not 0 <= served - measured.requests <= self._connections:
            raise LoadError(
                f"{name}, {mode}: counted {measured.requests:,} requests, and nginx served {served:,}"
            )
        return Result(mode, name, measured, served)

    @contextmanager
    def _prepared(self, mode: Mode, name: str) -> Iterator[Callable[[], Measured]]:
        """Get a generator ready, and give what starts its load."""
        if name in {"wrk", "wrk-lua"}:
            yield functools.partial(self._wrk, mode, counting=name == "wrk-lua")
        elif name == "hey":
            yield functools.partial(self._hey, mode)
        elif name == "engine":
            profile = self._profile(mode, name)
            run_engine(_wire.Engine, profile, WARM_UP_S)
            yield functools.partial(run_engine, _wire.Engine, profile, self._seconds)
        else:
            profile = self._profile(mode, name)
            with Generator() as generator:
                generator.drive(profile, WARM_UP_S)
                yield functools.partial(self._harness, generator, profile)

    def _profile(self, mode: Mode, name: str) -> LoadProfile:
        return LoadProfile(
            address=ADDRESS,
            port=self._nginx.port,
            path="/",
            headers={},
            users=self._connections,
            requests_per_connection=None if mode == KEPT else 1,
            timeout_ns=5 * SECOND_NS,
            identity_header="X-Instance",
            identity_body=None,
            sources=SOURCES,
            seed=1,
            user="gevent" if name == "gevent" else "http" if name == "http" else "wire",
            locustfile=str(self._locustfiles[mode]) if name == "locustfile" else None,
        )

    def _harness(self, generator: Generator, profile: LoadProfile) -> Measured:
        done, rows = generator.drive(profile, self._seconds)
        if done["user"] != ("locustfile" if profile.locustfile else profile.user):
            raise LoadError(f"{profile.user} was asked to send, and {done['user']} did")
        if list(done["identities"]) != [INSTANCE]:
            raise LoadError(f"the answers of one nginx name {done['identities']}, not {INSTANCE}")
        return Measured(done["requests"], done["cpu_ns"], done["elapsed_ns"], len(rows))

    def _wrk(self, mode: Mode, *, counting: bool) -> Measured:
        seconds = math.ceil(self._seconds)  # it knows whole ones only
        command = ["wrk", "-t1", f"-c{self._connections}", f"-d{seconds}s"]
        command += ["-s", str(self._lua)] if counting else []
        command += ["-H", "Connection: close"] if mode == CLOSED else []
        said, cpu_ns = run_program([*command, self._nginx.url], seconds)
        if "Socket errors" in said or "Non-2xx" in said:
            raise LoadError(f"wrk, {mode}: requests failed:\n{said}")
        requests = int(find(r"(\d+) requests in", said))
        if counting and (named := int(find(rf"counted {INSTANCE} (\d+)", said))) != requests:
            raise LoadError(f"wrk, {mode}: {requests:,} requests, and its script counted {named:,}")
        return Measured(
            requests, cpu_ns, round(requests / float(find(r"Requests/sec: +([\d.]+)", said)) * SECOND_NS)
        )

    def _hey(self, mode: Mode) -> Measured:
        command = ["hey", "-z", f"{self._seconds}s", "-c", str(self._connections)]
        command += ["-disable-keepalive"] if mode == CLOSED else []
        said, cpu_ns = run_program([*command, self._nginx.url], self._seconds)
        if "Error distribution" in said or re.findall(r"\[(\d+)\]\s+\d+ responses", said) != ["200"]:
            raise LoadError(f"hey, {mode}: requests failed:\n{said}")
        requests = int(find(r"\[200\]\s+(\d+) responses", said))
        return Measured(requests, cpu_ns, round(float(find(r"Total:\s+([\d.]+) secs", said)) * SECOND_NS))


def ratios(results: Results, mode: Mode, name: str, base: str) -> list[float]:
    """Give what a request costs one generator for each round, another's being 1; none without both."""
    pairs = zip(results.get((mode, name), []), results.get((mode, base), []), strict=False)
    return [one.measured.cpu_us / other.measured.cpu_us for one, other in pairs]


def show(results: Results, mode: Mode) -> None:
    """Print the table of one way to connect."""
    print(
        f"\n{mode:<27}{'CPU µs per request':^24}\n{'':<12}{'min':>9}{'median':>9}{'max':>9}{'of wrk':>9}"
        f"{'requests/s':>12}{'counted':>13}{'recorded':>13}{'served':>13}"
    )
    for name in NAMES:
        rounds = results.get((mode, name))
        if not rounds:
            continue
        measured = [one.measured for one in rounds]
        cpu_us = [one.cpu_us for one in measured]
        served = sum(one.served for one in rounds)
        of_wrk = ratios(results, mode, name, "wrk")
        records = f"{sum(one.records or 0 for one in measured):,}" if name in PLANES else "-"
        print(
            f"{name:<12}{min(cpu_us):>9.2f}{statistics.median(cpu_us):>9.2f}{max(cpu_us):>9.2f}"
            f"{f'{statistics.median(of_wrk):.2f}' if of_wrk else '-':>9}"
            f"{statistics.median(one.per_second for one in measured):>12,.0f}"
            f"{sum(one.requests for one in measured):>13,}{records:>13}{served:>13,}"
        )


def judge(results: Results) -> list[tuple[str, str]]:
    """Say what is asked of the harness's generator, each with ``met``, ``missed`` or ``not measured``."""
    judged = []
    for mode, most in MOST_OF_WRK.items():
        text = f"wire, {mode}: at most {most:.2f} of wrk's CPU per request"
        of_wrk = ratios(results, mode, "wire", "wrk")
        ratio = statistics.median(of_wrk) if of_wrk else None
        judged.append(_judged(text, ratio, met=ratio is not None and ratio <= most))
    text = f"wire, {KEPT}: at least {LEAST_OF_WIRE:.0f} times cheaper than either FastHttpUser"
    of_wire = [ratios(results, KEPT, name, "wire") for name in ("http", "locustfile")]
    ratio = min((statistics.median(each) for each in of_wire if each), default=None)
    judged.append(_judged(text, ratio, met=ratio is not None and ratio >= LEAST_OF_WIRE))
    ours = [result for (_, name), rounds in results.items() if name in PLANES for result in rounds]
    exact = sum(result.exact for result in ours)
    text = f"counted = recorded = served in every load of the harness: {exact} of {len(ours)}"
    judged.append((text, ("met" if exact == len(ours) else "missed") if ours else "not measured"))
    return judged


def _judged(text: str, ratio: float | None, *, met: bool) -> tuple[str, str]:
    if ratio is None:
        return text, "not measured"
    return f"{text}: {ratio:.3f}", "met" if met else "missed"


def missing(names: Sequence[str]) -> list[str]:
    """Name what these generators need and this machine lacks, with what installs it."""
    needed = {"nginx", *(name for name in ("wrk", "hey") if any(one.startswith(name) for one in names))}
    lacking = [
        f"{program} is missing: install the Debian package {program}"
        for program in sorted(needed)
        if find_program(program) is None
    ]
    if _wire is None and {"wire", "engine"} & set(names):
        lacking.append("the compiled data plane is missing: install a C compiler, then the harness again")
    return lacking


def machine() -> str:
    """Say in one line where this is measured."""

    def said(program: str) -> str:
        path = find_program(program)
        if path is None:
            return "missing"
        finished = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
        return find(r"(?:nginx/|wrk )(\S+)", finished.stdout + finished.stderr)

    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"Locust {version('locust')}, wrk {said('wrk')}, nginx {said('nginx')}, "
        f"load average {os.getloadavg()[0]:.2f} at the beginning"
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is driven")
    parser.add_argument("--seconds", type=float, default=3, help="of each load; wrk's are rounded up")
    parser.add_argument("--connections", type=int, default=32, help="of each load")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=f"{NAMES}")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="compare wire with this build's")
    options = parser.parse_args()
    if options.rounds < 1 or not 0.1 <= options.seconds <= 600:
        parser.error("--rounds must be at least 1, --seconds between 0.1 and 600")
    if not 1 <= options.connections <= MOST_CONNECTIONS:
        parser.error(f"--connections must be between 1 and {MOST_CONNECTIONS}")
    return options


def measure(options: argparse.Namespace) -> Results:
    """Drive all loads, one after the other."""
    loads = [(mode, name) for mode in MODES for name in NAMES if name in options.only]
    results: Results = {load: [] for load in loads}
    with tempfile.TemporaryDirectory() as folder, Nginx(Path(folder)) as nginx:
        bench = Bench(nginx, Path(folder), options.seconds, options.connections)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for mode, name in reversed(loads) if number % 2 else loads:
                results[mode, name].append(bench.measure(mode, name))
    return results


def main() -> int:
    """Measure, and print tables and what was asked for."""
    options = parse()
    if lacking := missing(["wire"] if options.against else options.only):
        print("\n".join(lacking), file=sys.stderr)
        return 2
    end_on_signals()
    print(machine())
    print(f"{options.rounds} rounds of {options.seconds:g} s, {options.connections} connections", flush=True)
    try:
        if options.against:
            return 0 if compare(options.against.resolve(), MODES, options) else 1
        results = measure(options)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    for mode in MODES:
        show(results, mode)
    print()
    judged = judge(results)
    for text, verdict in judged:
        print(f"{verdict:<14}{text}")
    return 1 if "missed" in [verdict for _, verdict in judged] else 0


if __name__ == "__main__":
    sys.exit(main())

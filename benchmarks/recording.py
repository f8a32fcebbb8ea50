"""Whether memory stays flat, however many requests a run records.

    .venv/bin/python benchmarks/recording.py [--requests 20000000]

One run of scenarios/dnat-10.yaml with kept-alive connections, as fast as the machine can. Four times a
second the memory of the harness and of its generator is looked at: what each has by itself and its part of
what they share (PSS of /proc/PID/smaps_rollup), the records on their way included. The table has the most of
each tenth of the requests. Flat is what in the second half of the load is nowhere more than a tenth above
the most of the first half. What the tests need afterwards, to read all of it, is told beside it; so is
whether the recording has exactly the requests that were asked for, and that instances and kernel counted.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import psutil
import pyarrow.parquet as pq

_ROOT: Final = Path(__file__).parent.parent
_HARNESS: Final = str(Path(sys.executable).with_name("harness"))
_EVERY_S: Final = 0.25
_MIB: Final = 1 << 20
_SLACK: Final = 1.1
_PARTS: Final = 10


@dataclass
class _Seen:
    """How far the run is, as it says, and the most memory of each process until then, in bytes."""

    requests: int = 0
    phase: str = "start"
    most: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)


def _follow(stderr: IO[str], seen: _Seen) -> None:
    """Read what the run says of its progress."""
    for line in stderr:
        if found := re.match(r"load: .* ([\d,]+) requests", line):
            seen.phase, seen.requests = "load", int(found[1].replace(",", ""))
        elif line.startswith("load ("):
            seen.phase = "afterwards"
        elif line.startswith("warm-up"):
            seen.phase = "load"
        elif line.startswith("error"):
            sys.stderr.write(line)


def _memory(run: psutil.Process) -> dict[str, int]:
    """Give the memory of the run's process and of its load generator."""
    found = {"harness": 0, "generator": 0}
    for process in (run, *run.children(recursive=True)):
        try:
            who = (
                "harness" if process == run else "generator" if "harness.load" in process.cmdline() else None
            )
            if who:
                found[who] += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended
    return found


def _run(requests: int, results: str) -> _Seen:
    """Run, and look at the memory meanwhile."""
    command = [_HARNESS, "run", str(_ROOT / "scenarios/dnat-10.yaml"), "--results", results]
    for setting in (f"load.requests={requests}", "load.duration=2h", "load.connections=keep-alive"):
        command += ["--set", setting]
    seen = _Seen()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.PIPE, text=True) as run,
    ):
        thread = threading.Thread(target=_follow, args=(run.stderr, seen))
        thread.start()
        process = psutil.Process(run.pid)
        while run.poll() is None:
            part = min(seen.requests * _PARTS // requests, _PARTS - 1)
            most = seen.most.setdefault((seen.phase, part), {"harness": 0, "generator": 0})
            for who, bytes_ in _memory(process).items():
                most[who] = max(most[who], bytes_)
            time.sleep(_EVERY_S)
        thread.join()
    return seen


def _is_flat(load: dict[int, dict[str, int]], who: str) -> bool:
    """Compare the load's second half with its first."""
    halves = [
        max((most[who] for part, most in load.items() if part // (_PARTS // 2) == half), default=0)
        for half in (0, 1)
    ]
    return halves[1] <= _SLACK * halves[0]


def main() -> int:
    """Run, and print the table; 1 if memory was not flat or the counts differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as results:
        began_s = time.monotonic()
        seen = _run(requests, results)
        took_s = time.monotonic() - began_s
        folder = next(Path(results).glob("*"), None)
        if folder is None:
            return 2  # the run has said why
        agree = json.loads((folder / "summary.json").read_text())["witnesses"]["agree"]
        file = folder / "requests.parquet"
        rows, size = pq.ParquetFile(file).metadata.num_rows, file.stat().st_size
    load = {part: most for (phase, part), most in seen.most.items() if phase == "load"}
    print(f"{requests:,} requests in {took_s:.0f} s; MiB, the most in each tenth of the load")
    print(f"{'tenth':<12}{'harness':>10}{'generator':>11}")
    for part, most in sorted(load.items()):
        print(f"{part + 1:<12}{most['harness'] / _MIB:10.0f}{most['generator'] / _MIB:11.0f}")
    after = max(most["harness"] for (phase, _), most in seen.most.items() if phase == "afterwards")
    print(f"{'afterwards':<12}{after / _MIB:10.0f}  ({after / rows:.0f} bytes a request, for the tests)")
    print(f"requests.parquet: {rows:,} rows, {size / rows:.1f} bytes each")
    flat, exact = all(_is_flat(load, who) for who in ("harness", "generator")), rows == requests and agree
    print(f"flat: {'met' if flat else 'missed'}; recorded = served, exactly: {'met' if exact else 'missed'}")
    return 0 if flat and exact else 1


if __name__ == "__main__":
    sys.exit(main())

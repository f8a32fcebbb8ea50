"""What a run costs beside its load: wall time of a whole `harness run`, by phase.

    .venv/bin/python benchmarks/overhead.py [--runs 5] [--replicas 10]

Each run is a process of its own, timed from outside. Overhead is all of its time but the seconds of
warm-up and load that the scenario asks for; `start and end` is what lies outside the phases:
starting the interpreter, reading the scenario, writing the summary, printing. Each figure stands as
minimum, median and maximum over the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_HARNESS = str(Path(sys.executable).with_name("harness"))
_WARM_UP_S = 2
_LOAD_S = 3
_PHASES = ("provision", "expose", "generator", "warm_up", "load", "analyse", "teardown")


def _one_run(replicas: int, results: str) -> dict[str, float]:
    """Run the scenario once and give the seconds of each part of its overhead."""
    settings = {"replicas": replicas, "load.warm_up": f"{_WARM_UP_S}s", "load.duration": f"{_LOAD_S}s"}
    scenario = str(_ROOT / "scenarios/dnat-10.yaml")
    command = [_HARNESS, "run", scenario, "--json", "--results", results]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    began_s = time.monotonic()
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_s = time.monotonic() - began_s
    if finished.returncode not in {0, 1, 3}:
        sys.exit(finished.stderr)
    seconds = json.loads(finished.stdout)["phases_s"]
    seconds["warm_up"] -= _WARM_UP_S
    seconds["load"] -= _LOAD_S
    parts = {phase: seconds[phase] for phase in _PHASES}
    overhead_s = wall_s - _WARM_UP_S - _LOAD_S
    return {"start and end": overhead_s - sum(parts.values()), **parts, "in all": overhead_s}


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--replicas", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as results:
        runs = [_one_run(arguments.replicas, results) for _ in range(arguments.runs)]
    print(f"{arguments.replicas} replicas, {arguments.runs} runs, seconds")
    print(f"{'':<14}{'min':>8}{'median':>8}{'max':>8}")
    for part in runs[0]:
        figures = [run[part] for run in runs]
        print(f"{part:<14}{min(figures):8.3f}{statistics.median(figures):8.3f}{max(figures):8.3f}")


if __name__ == "__main__":
    main()

"""Measures a suite, and keeps its results condensed below results/reference/.

    .venv/bin/python benchmarks/reference.py [SUITE...] [--set KEY=VALUE] [--repeat N] [--into DIR]

Without a SUITE, scenarios/suites/reference.yaml. The folder is named for the suite, and replaced as a whole
once the last run has ended. The results themselves lie in a temporary folder until then, and stay there,
with their place told, if condensing fails.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.signals import end_on_signals
from harness.errors import HarnessError
from harness.report.progress import Progress
from harness.report.suite import closing_line
from harness.results.archive import condense
from harness.suite.file import read_suite
from harness.suite.running import SuiteRun

if TYPE_CHECKING:
    from harness.summary.suite import SuiteSummary

_ROOT = Path(__file__).parent.parent
_MOST_BYTES = 4 << 20

_WHOLE = {
    # The runs whose single requests the notebooks look at.
    "reference": (
        "dnat-random-2-per-request",
        "haproxy-2-per-request",
        "dnat-literal-10-per-request",
    ),
    "failover": ("kill-one-dnat-random", "kill-one-haproxy"),
}


def main() -> int:
    """Measure each suite; the exit status is that of `harness suite`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", type=Path, metavar="SUITE")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeat", type=int, metavar="N")
    parser.add_argument("--into", type=Path, default=_ROOT / "results" / "reference", metavar="DIR")
    parser.add_argument("--whole", action="append", metavar="SCENARIO", help="keep its first result whole")
    arguments = parser.parse_args()
    suites = arguments.suites or [_ROOT / "scenarios" / "suites" / "reference.yaml"]
    gc.disable()  # as the command `harness` does; a suite collects between its runs
    end_on_signals()
    try:
        statuses = [_measured(path, arguments) for path in suites]
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: of the suite under way, nothing was kept", file=sys.stderr)
        return 130
    return max(statuses, key=(0, 3, 1).index)


def _measured(path: Path, arguments: argparse.Namespace) -> int:
    suite = read_suite([path], arguments.overrides, repeat=arguments.repeat)
    whole = _WHOLE.get(suite.name, ()) if arguments.whole is None else arguments.whole
    if unknown := set(whole) - {one.name for one in suite.scenarios}:
        raise HarnessError(
            f"{path}: has no scenario {min(unknown)!r}, whose first result is to be kept whole"
        )
    folder = Path(tempfile.mkdtemp(prefix="sameport-"))
    progress = Progress(fleeting=True)
    running = SuiteRun(suite, folder, progress)
    try:
        summary = running.run()
    finally:
        progress.close()
    print(closing_line(summary))
    if summary.interrupted:
        shutil.rmtree(folder)
        raise KeyboardInterrupt
    kept = [name for name in whole if name in _with_result(summary)]
    if len(kept) < len(whole):
        print(f"not kept whole, without a result: {', '.join(set(whole) - set(kept))}", file=sys.stderr)
    target = arguments.into / suite.name
    try:
        condense(summary, target, kept, _MOST_BYTES)
    except HarnessError as error:
        raise HarnessError(f"{error}; the results are in {folder}") from error
    shutil.rmtree(folder)
    print(f"{sum(file.stat().st_size for file in target.rglob('*')) / 1e6:.1f} MB in {target}")
    return running.exit_status(summary)


def _with_result(summary: SuiteSummary) -> set[str]:
    return {scenario.name for scenario, outcome in summary.outcomes() if outcome.result}


if __name__ == "__main__":
    sys.exit(main())

"""Whatever harms a run at whatever moment, the run does not pass, and says what was harmed."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.end_to_end.sabotage import LASTS_S, SABOTAGE, Run, on_a_small_disk

if TYPE_CHECKING:
    import pytest

    from tests.end_to_end.conftest import Command

MOMENTS = 30
"""How many moments are tried, unless --moments says otherwise."""

ROWS = Path(__file__).parents[2] / "build" / "trust"
_SCENARIO = """
strategy: {strategy}
replicas: 4
tolerance: 25%
load: {{users: 8, duration: {lasts:g}s, warm_up: 200ms, timeout: 1s}}
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each way to harm a run as often as any other."""
    if "moment" in metafunc.fixturenames:
        moments = metafunc.config.getoption("--moments") or MOMENTS
        ways = [(key, strategy) for key, one in SABOTAGE.items() for strategy in one.strategies]
        cases = [(moment, *ways[moment % len(ways)]) for moment in range(moments)]
        names = ["-".join(map(str, case)) for case in cases]
        metafunc.parametrize(("moment", "way", "strategy"), cases, ids=names)


def test_run_that_was_harmed_does_not_pass(
    harness: Command, moment: int, way: str, strategy: str, seed: int
) -> None:
    """The moment is within the load; status is not 0, and the output names what was harmed."""
    chance, sabotage = random.Random(seed + moment), SABOTAGE[way]
    name = harness.scenario(_SCENARIO.format(strategy=strategy, lasts=LASTS_S))
    disk = on_a_small_disk(harness.folder) if way == "disk" else ()
    process = harness.start("run", name, user=disk)
    run = Run(harness, process.pid, chance)
    run.wait_for_load()
    at_s = chance.uniform(0.1, 0.6) * LASTS_S
    time.sleep(at_s)
    sabotage.act(run)
    stdout, stderr = process.communicate(timeout=60)
    said = " ".join(f"{stdout} {stderr}".split())
    told = f"{sabotage.what} after {at_s:.2f} s, seed {seed}: {said}"
    assert process.returncode in {1, 2, 3}, told
    assert re.search(sabotage.named, said), told
    assert "Traceback" not in said
    _note(way, strategy, process.returncode, next(iter(_reasons(harness.folder)), said.split("error: ")[-1]))


def _reasons(folder: Path) -> list[str]:
    """Give the reasons of the one result that there is, if there is one."""
    found: list[str] = []
    for file in folder.glob("results/*/summary.json"):
        summary: dict[str, Any] = json.loads(file.read_text())
        assert not summary["passed"]
        found += summary["not_passed"]
    return found


def _note(way: str, strategy: str, status: int, reason: str) -> None:
    """Leave a row for the page that docs/trust.md is (tools/trust.py)."""
    ROWS.mkdir(parents=True, exist_ok=True)
    row = {
        "way": way,
        "what": SABOTAGE[way].what,
        "strategy": strategy,
        "engine": "process",
        "status": status,
        "reason": reason,
    }
    (ROWS / f"{way}-{strategy}.json").write_text(json.dumps(row) + "\n")

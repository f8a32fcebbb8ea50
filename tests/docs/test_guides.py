"""The guides for plots and faults of other packages: their examples work as printed, by an entry point."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.faults import FAULTS
from harness.report.plots import PLOTS
from tests.helpers.entry_points import offer

if TYPE_CHECKING:
    from tests.gate.conftest import Stored

from tests.gate.conftest import measure, stored

__all__ = ["measure", "stored"]

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_HARNESS = str(Path(sys.executable).with_name("harness"))


def _install(guide: str, folder: Path) -> dict[str, str]:
    """Lay a guide's module and entry point out as pip does; gives the environment that finds them."""
    page = (_DOCS / guide).read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(python|toml)\n(.*?)```", page, re.DOTALL))
    ((group, name, place),) = re.findall(
        r'\[project\.entry-points\."(.+)"\]\n(\S+) = "(\S+)"', blocks["toml"]
    )
    return offer(folder, group, name, place, blocks["python"])


def _harness(environment: dict[str, str], *arguments: str) -> str:
    finished = subprocess.run(
        [_HARNESS, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_plot_of_the_guide_is_listed_and_drawn(stored: Stored, tmp_path: Path) -> None:
    """By its name, with the harness's own look, and by default, too."""
    found = _install("writing-a-plot.md", tmp_path)
    results = [str(stored([600, 400])), str(stored([500, 500]))]
    assert "the share of requests that failed" in _harness(found, "list", "plots")
    assert "failures" in _harness(found, "plot", "--help")
    out = str(tmp_path / "out")
    written = _harness(found, "plot", *results, "--kind", "failures", "--format", "svg", "-o", out)
    assert written == f"{out}/failures.svg\n"
    assert "requests that failed" in (tmp_path / "out" / "failures.svg").read_text(encoding="utf-8")
    assert "failures" not in PLOTS.names()  # it is not installed for this process


def test_plot_of_the_guide_is_a_method_in_notebooks(stored: Stored, tmp_path: Path) -> None:
    """Beside the harness's own plots."""
    found = _install("writing-a-plot.md", tmp_path)
    stored([600, 400])
    code = f"import harness; print(harness.load_results({str(tmp_path / 'results')!r}).plot.failures())"
    finished = subprocess.run(
        [sys.executable, "-c", code], env=found, capture_output=True, text=True, check=True, timeout=120
    )
    assert finished.stdout.startswith("<Plot: 7 by 1.5 inches>")


@pytest.mark.host
def test_fault_of_the_guide_is_listed_and_carried_out(tmp_path: Path) -> None:
    """An instance is killed and comes again, and the strategy follows both."""
    found = _install("writing-a-fault.md", tmp_path)
    assert "start them again at once" in _harness(found, "list", "faults")
    schema = json.loads(_harness(found, "schema", "scenario"))
    assert "restart" in schema["$defs"]["Event"]["properties"]
    printed = _harness(
        found,
        *("run", str(_ROOT / "scenarios" / "dnat-10.yaml"), "--json", "-o", str(tmp_path / "results")),
        *("--set", "replicas=3", "--set", "membership=followed", "--set", "tolerance=50%"),
        *("--set", "load.duration=3s", "--set", "events=[{at: 1s, restart: 1}]"),
    )
    (event,) = json.loads(printed)["events"]
    assert (event["action"], event["members"]) == ("restart", ["instance-3"])
    assert event["joined"] == ["instance-3"]
    assert event["label"] == "restart instance-3"
    assert 0 < event["followed_s"] < 2


@pytest.mark.parametrize("name", FAULTS.names())
def test_scenario_page_has_a_row_for_each_fault(name: str) -> None:
    """One table has every fault that a scenario can name."""
    assert f"| `events.{name}` |" in (_DOCS / "scenario.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLOTS.names())
def test_plots_page_has_a_row_for_each_plot(name: str) -> None:
    """The pages of plots and of Python name every kind."""
    assert f"| `{name}` |" in (_DOCS / "plots.md").read_text(encoding="utf-8")
    assert f".{name}(" in (_DOCS / "python.md").read_text(encoding="utf-8")

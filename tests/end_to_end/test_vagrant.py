"""`harness run --host vagrant`: a real virtual machine, by Vagrant and libvirt (`make test-vagrant`).

One machine, kept by the first run, serves all tests: to bring one up takes minutes where it is emulated.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.common.paths import cache_folder
from harness.hosts.processes import family
from harness.hosts.vm.box import VagrantBoxes
from harness.hosts.vm.state import State
from tests.end_to_end.conftest import HARNESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import Command

pytestmark = pytest.mark.vagrant

_DNAT_10 = str(Path(__file__).parents[2] / "scenarios" / "dnat-10.yaml")
# An emulated machine answers 200 to 800 requests a second, as busy as its host is: the counts decide its end.
_AS_LONG_AS_IT_TAKES = ("--set", "load.until=verdict", "--set", "load.duration=4m")
_PATIENCE_S = 600
_FOUND_S = 40
"""Less than it takes to bring a machine up, on any; more than to find one."""

_SHORT = """
strategy: {strategy}
host: vagrant
replicas: 4
expect: {expect}
tolerance: 20%
load: {{duration: 5s, warm_up: 500ms}}
"""


def _summary(results: Path) -> dict[str, Any]:
    (path,) = results.glob("*/summary.json")
    summary: dict[str, Any] = json.loads(path.read_text())
    return summary


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run dnat-10, keep its machine for the tests that follow, and see it destroyed; give the results."""
    VagrantBoxes().require(print)
    folder = tmp_path_factory.mktemp("kept")
    subprocess.run([HARNESS, "clean"], check=True, cwd=folder)  # of what an earlier, killed test has left
    argv = [
        HARNESS,
        "run",
        _DNAT_10,
        "--host",
        "vagrant",
        "--keep",
        "--results",
        "there",
        *_AS_LONG_AS_IT_TAKES,
    ]
    subprocess.run(argv, check=True, cwd=folder, timeout=1000)
    known = State().read()
    assert known is not None
    assert known.is_usable()
    yield folder / "there"
    cleaned = subprocess.run([HARNESS, "clean"], check=True, cwd=folder, capture_output=True, text=True)
    assert "virtual machine: destroyed" in cleaned.stdout
    assert not known.is_there() or not known.provider.own
    assert [path.name for path in (cache_folder() / "machine").iterdir()] == ["lock"]


def test_dnat_is_as_even_as_on_the_embedded_host(harness: Command, kept: Path) -> None:
    """Load from outside, exact counts, the guest's own kernel; and the same distribution as on host netns."""
    summary = _summary(kept)
    assert (summary["verdict"], summary["host"], summary["engine"]) == ("even", "vagrant", "docker")
    assert summary["counts"]["errors"] == 0
    assert summary["witnesses"]["agree"]
    connections = {who: summary["witnesses"][who]["connections"] for who in ("client", "instances", "kernel")}
    assert set(connections.values()) == {summary["counts"]["connections"]}
    assert summary["emulated"] == any("emulated" in warning for warning in summary["warnings"])
    assert summary["memory_bytes"]["instances"] > 3e6
    assert summary["cpu_us_per_request"]["instances"] > 1
    assert summary["versions"]["kernel"] != os.uname().release
    here = harness("run", _DNAT_10, "--results", "here", "--json")
    assert here.returncode == 0, here.stderr
    both = [*kept.glob("dnat-10-*"), *(harness.folder / "here").glob("dnat-10-*")]
    # With 95 %, one of twenty comparisons of equal ones would find a difference.
    compared = harness("compare", *map(str, both), "--confidence", "99.99%")
    assert compared.returncode == 0, compared.stderr
    assert "no difference could be shown" in compared.stdout


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("strategy", "expect", "witness"),
    [
        ("so-reuseport-sandbox", "even", "kernel"),
        ("haproxy", "even", "proxy"),
        ("ipvs-rr", "even", "kernel"),
        ("dnat-literal", "uneven", "kernel"),
    ],
)
def test_a_strategy_is_as_elsewhere(harness: Command, strategy: str, expect: str, witness: str) -> None:
    """It has the machine to itself within seconds, whatever ran before; IPVS is there, too."""
    scenario = harness.scenario(_SHORT.format(strategy=strategy, expect=expect))
    finished = harness("run", scenario, patience_s=_PATIENCE_S)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "the virtual machine was up" in finished.stderr
    summary = _summary(harness.folder / "results")
    assert (summary["verdict"], summary["witnesses"]["agree"]) == (expect, True)
    assert summary["witnesses"][witness] is not None
    assert summary["counts"]["errors"] == 0
    assert summary["phases_s"]["machine"] < _FOUND_S


@pytest.mark.usefixtures("kept")
def test_clients_inside_meet_the_hosts_own_rules(harness: Command) -> None:
    """Their packets go through OUTPUT; the load generator runs in the machine."""
    scenario = harness.scenario(_SHORT.format(strategy="dnat-random", expect="even") + "client: local\n")
    finished = harness("run", scenario, "--set", "tolerance=40%", patience_s=_PATIENCE_S)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    summary = _summary(harness.folder / "results")
    assert (summary["client"], summary["witnesses"]["agree"]) == ("local", True)
    (worker,) = summary["generator"]["workers"]
    assert worker["machine"] == "sameport"


@pytest.mark.usefixtures("kept")
def test_a_run_that_is_killed_harms_none_that_follows(harness: Command) -> None:
    """Nothing of it is left here; what it has left in the machine, the next run takes away."""
    scenario = harness.scenario(_SHORT.format(strategy="dnat-random", expect="even"))
    killed = harness.start("run", scenario)
    time.sleep(25)
    processes = family(killed.pid)[1:]
    assert processes
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    after = harness("run", scenario, "--set", "tolerance=40%", patience_s=_PATIENCE_S)
    assert after.returncode == 0, after.stdout + after.stderr
    assert _summary(harness.folder / "results")["witnesses"]["agree"]
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]

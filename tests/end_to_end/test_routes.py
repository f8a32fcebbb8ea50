"""Several applications behind one port, on a real host with a real proxy and real load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import harness as library
from harness.recording.table import Recording

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

_ROUTES = """
strategy: {}
routes:
  api: {{{}, replicas: 2, weight: 3}}
  web: {{{}, replicas: 3}}
tolerance: 20%
load: {{warm_up: 200ms, {}}}
"""
_BY_PATH = ("path: /api", "path: /")
_BY_HOST = ("host: a.example", "host: b.example")


@pytest.mark.parametrize(
    ("strategy", "routes", "load"),
    [
        ("nginx", _BY_PATH, "duration: 2s, workers: 2"),
        ("haproxy", _BY_HOST, "connections: keep-alive, until: verdict, duration: 1m"),
    ],
)
def test_each_routes_requests_are_led_to_its_own_instances(
    harness: Command, strategy: str, routes: tuple[str, str], load: str
) -> None:
    """Shares, verdicts and errors for each; all witnesses agree; table, page and tables have the routes."""
    text = _ROUTES.format(strategy, *routes, load)
    finished = harness("run", harness.scenario(text), "--set", "port=8000")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    (folder,) = (harness.folder / "results").iterdir()
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["witnesses"]["agree"] is True
    assert [route["verdict"] for route in summary["routes"]] == ["even"] * 2
    assert [route["misrouted"] for route in summary["routes"]] == [0, 0]
    assert [route["share"] for route in summary["routes"]] == pytest.approx([0.75, 0.25], abs=0.01)
    assert [row["name"] for row in summary["instances"]] == ["api-1", "api-2", "web-1", "web-2", "web-3"]
    assert sum(row["requests"] for row in summary["instances"]) == summary["counts"]["requests"]
    assert summary["phases_s"]["load"] < 20
    told = " ".join(finished.stdout.split())
    assert f"route api ({routes[0].split()[1]}): " in told

    result = library.load_results(harness.folder / "results")[0]
    assert result.routes["route"].tolist() == ["api", "web"]
    requests = result.requests
    answered = set(zip(requests["route"].astype(str), requests["instance"].astype(str), strict=True))
    assert answered == {(name.split("-")[0], name) for name in ("api-1", "api-2", "web-1", "web-2", "web-3")}
    assert Recording.from_parquet(folder / "requests.parquet").routes == ("api", "web")
    for command in (("check", "--tolerance", "30%"), ("report",)):
        again = harness(*command, str(folder))
        assert again.returncode == 0, (command, again.stdout, again.stderr)
    page = next(harness.folder.rglob("*.html")).read_text()
    assert ">Routes</caption>" in page

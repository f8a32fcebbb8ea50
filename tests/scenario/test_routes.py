"""Routes of a scenario: how they are written, what they amount to, and what is refused at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from harness.types import Route
from tests.scenario.conftest import load, refused

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = "strategy: nginx\nroutes:\n"
_TWO = f"{_HEAD}  api: {{path: /api, replicas: 2, weight: 3}}\n  web: {{path: /, replicas: 1}}\n"
_HOSTS = f"{_HEAD}  a: {{host: a.example, replicas: 1}}\n  b: {{host: b.example, replicas: 1}}\n"


def test_instances_are_named_by_their_route(folder: Path) -> None:
    """One route after the other; `replicas` is what they have together, and `weights` may name some."""
    scenario = load(folder, f"{_TWO}weights: {{api-2: 5}}\n")
    assert scenario.replicas == 3
    assert scenario.instances() == {"api-1": 1, "api-2": 5, "web-1": 1}
    assert scenario.all_instances() == ("api-1", "api-2", "web-1")
    assert scenario.routes_by_instance() == {
        "api-1": Route("api", "/api"),
        "api-2": Route("api", "/api"),
        "web-1": Route("web", "/"),
    }
    assert load(folder, _HOSTS).routes_by_instance()["b-1"] == Route("b", "/", "b.example")


def test_a_stored_scenario_has_the_same_routes(folder: Path) -> None:
    """What a result keeps can be read again; so can overrides of a route."""
    scenario = load(folder, _TWO, "routes.web.replicas=4", "routes.web.weight=2")
    assert (scenario.replicas, scenario.routes["web"].weight) == (6, 2)
    with (folder / "x.yaml").open("w") as file:
        YAML().dump(scenario.as_written(), file)
    assert load(folder, (folder / "x.yaml").read_bytes()) == scenario


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (_TWO.replace("nginx", "dnat-random"), "x.yaml:3:3: routes: dnat-random leads each request to any"),
        (_TWO.replace("nginx", "nginx-stream"), "take one of: caddy, envoy, haproxy, nginx, traefik"),
        (
            _TWO.replace("nginx", "{name: traefik, discovery: file}"),
            "x.yaml:1:38: strategy.discovery: traefik routes to instances of its configuration alone; write",
        ),
        (f"{_TWO}replicas: 4\n", "x.yaml:5:11: replicas: 4 is not what the routes have together (3)"),
        (f"{_TWO}weights: {{api-3: 2}}\n", "x.yaml:5:18: weights.api-3: is the name of no route's instance"),
        (
            f"{_TWO}events: [{{at: 1s, kill: 1}}]\n",
            "x.yaml:5:9: events: instances of routes can't come and",
        ),
        (f"{_TWO}membership: followed\n", "x.yaml:5:13: membership: instances of routes can't come and go"),
        (
            f"{_TWO}load: {{locustfile: {__file__}}}\n",
            "x.yaml:5:20: load.locustfile: a locustfile decides",
        ),
        (f"{_TWO}load: {{path: /x}}\n", "x.yaml:5:14: load.path: routes by path set the path of requests"),
        (
            f"{_HOSTS}load: {{headers: {{host: c}}}}\n",
            "x.yaml:5:24: load.headers.host: routes by host set the host of requests",
        ),
        (
            f"{_TWO.replace('nginx', '{name: nginx, policy: hash}')}load: {{until: verdict}}\n",
            "x.yaml:5:15: load.until: a verdict on client addresses of several routes is not waited for",
        ),
        (_TWO.replace("/,", "/api,"), "x.yaml:4:15: routes.web.path: is that of route api, too"),
        (_HOSTS.replace("b.ex", "a.ex"), "x.yaml:4:13: routes.b.host: is that of route a, too"),
        (_HOSTS.replace("host: b.example", "path: /b"), "x.yaml:4:6: routes.b: a and b: one is by path and"),
        (_TWO.replace("path: /, ", ""), "x.yaml:4:8: routes.web: has neither path nor host; write one"),
        (_TWO.replace("path: /,", "path: /, host: a,"), "x.yaml:4:8: routes.web: has a path and a host"),
        (_TWO.replace(", replicas: 1", ""), "x.yaml:4:8: missing key 'routes.web.replicas'"),
        (_TWO.replace("replicas: 1", "replicas: 0"), "x.yaml:4:28: routes.web.replicas: 0 is too few"),
        (_TWO.replace("weight: 3", "weight: 0"), "routes.api.weight: 0 is too small"),
        (
            _TWO.replace("weight", "wieght"),
            "'routes.api.wieght', did you mean 'routes.api.weight'?",
        ),
        (_TWO.replace("/api", "/a//b"), "x.yaml:3:15: routes.api.path: '/a//b' is no path of a route"),
        (_TWO.replace("/api", "/API"), "routes.api.path: '/API' is no path of a route"),
        (_HOSTS.replace("b.example", "b.example:80"), "routes.b.host: 'b.example:80' is no host name"),
        (_TWO.replace("web", "Web"), "x.yaml:4:3: routes.Web: 'Web' can't name a route"),
        (
            _HEAD + "".join(f"  r{k}: {{path: /r{k}, replicas: 1}}\n" for k in range(256)),
            "routes: 256 are too many; write 255 at most",
        ),
    ],
)
def test_routes_refuse_impossible_keys_at_their_place(folder: Path, written: str, complaint: str) -> None:
    """Before anything is made, in words that say what to write."""
    assert complaint in refused(folder, written)

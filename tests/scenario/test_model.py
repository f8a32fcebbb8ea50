"""What a right scenario says, and what hosts, engines and strategies refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.engines import ENGINES
from harness.engines.kind import DOCKER
from harness.errors import ScenarioError, StrategyError
from harness.hosts import HOSTS, HostKind
from harness.scenario import Identity, Load, load_scenario
from harness.strategies.base import Options
from harness.strategies.dnat import DnatRandom
from tests.scenario.conftest import RIGHT, load, refused

ROOT = Path(__file__).parents[2]


def test_the_shortest_scenario_gets_every_default(folder: Path) -> None:
    """Two lines suffice; the name is the file's."""
    scenario = load(folder, RIGHT)
    assert (scenario.name, scenario.strategy.name, scenario.replicas) == ("x", "dnat-random", 10)
    assert (scenario.host, scenario.engine, scenario.client, scenario.port) == (
        "netns",
        "process",
        "external",
        80,
    )
    assert (scenario.application.command, scenario.application.image) == (None, None)
    assert scenario.application.identity == Identity(header="X-Instance", body=None)
    assert scenario.load == Load(
        model="closed",
        users=16,
        rate_per_s=None,
        duration_ns=10_000_000_000,
        warm_up_ns=2_000_000_000,
        connections="per-request",
        path="/",
        headers={},
        timeout_ns=5_000_000_000,
    )
    assert (scenario.tolerance, scenario.confidence, scenario.expect) == (0.10, 0.95, "even")
    assert (scenario.seed, scenario.repeat) == (0, 1)


FULL = """
name: full
description: Everything at once
strategy: {name: dnat-random}
replicas: 3
client: local
port: 8000
application:
  command: python -m app --greeting 'hello there'
  port: 9000
  identity: {body: 'I am (\\w+)'}
  env: {MODE: fast}
  start-timeout: 1m30s
load:
  {users: 4, duration: 1.5s, warm-up: 500ms, connections: 10, path: /a?b=c, headers: {X-A: b}, timeout: 250us}
tolerance: 12.5%
confidence: 99.9%
expect: uneven
seed: 9223372036854775807
repeat: 5
"""


def test_every_key_arrives(folder: Path) -> None:
    """Units are gone, words are split, hyphens are as good as underscores."""
    scenario = load(folder, FULL)
    application, profile = scenario.application, scenario.load
    assert application.command == ("python", "-m", "app", "--greeting", "hello there")
    assert (application.port, application.env) == (9000, {"MODE": "fast"})
    assert application.identity == Identity(header=None, body=r"I am (\w+)")
    assert application.start_timeout_ns == 90_000_000_000
    assert (profile.duration_ns, profile.warm_up_ns, profile.timeout_ns) == (
        1_500_000_000,
        500_000_000,
        250_000,
    )
    assert (profile.connections, profile.path, profile.headers) == (10, "/a?b=c", {"X-A": "b"})
    assert (scenario.tolerance, scenario.confidence, scenario.seed) == (0.125, 0.999, 2**63 - 1)


def test_the_sample_may_wait(folder: Path) -> None:
    """A mapping without a command is the sample."""
    assert load(folder, RIGHT + "application: {delay: 5ms}\n").application.delay_ns == 5_000_000


def test_a_scenario_cannot_be_changed(folder: Path) -> None:
    """A run can rely on what it was given."""
    with pytest.raises(ValidationError):
        load(folder, RIGHT).replicas = 3


def test_an_engine_that_the_host_lacks_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named, the host's first is taken."""
    monkeypatch.setitem(HOSTS, "bare", HostKind("nothing", "198.18.37.99", 50, "docker", here=True))
    monkeypatch.setitem(ENGINES._found, "docker", replace(DOCKER, hosts=frozenset({"bare"})))
    assert load(folder, RIGHT + "host: bare\n").engine == "docker"
    message = "x.yaml:4:9: engine: host 'bare' has no engine 'process' (its engines: docker)"
    assert refused(folder, RIGHT + "host: bare\nengine: process\n") == message


def test_a_strategy_that_does_not_run_on_the_engine_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the engines on which it does."""
    monkeypatch.setattr(DnatRandom, "engines", frozenset({"docker"}))
    message = "x.yaml:1:11: strategy: dnat-random doesn't run on engine 'process' (its engines: docker)"
    assert refused(folder, RIGHT) == message


class _Weights(Options):
    weights: tuple[int, ...] = (1, 1)
    log_level: str = "info"


def test_options_reach_the_strategys_own_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand beside the name, and are strictly typed though lists may be tuples."""
    monkeypatch.setattr(DnatRandom, "options_model", _Weights)
    text = "strategy: {name: dnat-random, weights: [1, 2], log-level: debug}\nreplicas: 1\n"
    scenario = load(folder, text)
    assert scenario.strategy.options == _Weights(weights=(1, 2), log_level="debug")
    assert scenario.as_written()["strategy"] == {
        "name": "dnat-random",
        "weights": [1, 2],
        "log_level": "debug",
    }
    assert refused(folder, text.replace("2]", "true]").replace("log-", "lag-")) == (
        "x.yaml:1:44: strategy.weights[1]: expected a whole number, found true\n"
        "x.yaml:1:51: unknown key 'strategy.lag_level', did you mean 'strategy.log_level'?"
    )


def test_a_strategy_that_cannot_be_imported_is_refused_at_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another package's defect is told like any other problem."""

    def broken(name: str) -> type:
        raise StrategyError(f"strategy {name!r} can't be loaded")

    monkeypatch.setattr("harness.scenario.model.find_strategy", broken)
    assert refused(folder, RIGHT) == "x.yaml:1:11: strategy 'dnat-random' can't be loaded"


def test_a_file_that_cannot_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cause has its own words, with what to do."""

    def message(path: Path) -> str:
        with pytest.raises(ScenarioError) as caught:
            load_scenario(path)
        return str(caught.value)

    monkeypatch.chdir(folder)
    assert message(Path("none.yaml")) == "none.yaml: there is no such file"
    assert message(Path("a\nb")) == r"a\nb: there is no such file"
    assert message(Path()) == ".: this is a folder; name a scenario file in it"
    assert message(Path("a\0b")) == r"a\x00b: this is no file name"
    assert message(Path("/dev/zero")) == "/dev/zero: is larger than 1 MiB; a scenario is a page of text"
    assert message(Path("x" * 999)).endswith(": can't be read: File name too long")
    assert refused(folder, b"a: b\nc: \xff\n") == "x.yaml:2:4: byte 0xff is not UTF-8; save the file as UTF-8"

    def forbidden(*_args: object) -> None:
        raise PermissionError

    # Root may read everything, so the refusal itself has to be played.
    monkeypatch.setattr(Path, "open", forbidden)
    assert message(Path("x")) == "x: you may not read this file; see its permissions (ls -l)"


def test_a_file_name_that_names_no_folder_asks_for_a_name(tmp_path: Path) -> None:
    """The result's folder is named by the scenario."""
    file = tmp_path / "my scenario.yaml"
    file.write_text(RIGHT)
    with pytest.raises(
        ScenarioError, match=r"my scenario\.yaml:1:1: name: 'my scenario' can't name a folder"
    ):
        load_scenario(file)
    assert load_scenario(file, ["name=mine"]).name == "mine"

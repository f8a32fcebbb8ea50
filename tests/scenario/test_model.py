from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from harness.errors import ScenarioError, StrategyError
from harness.hosts import HOSTS, HostKind
from harness.scenario import Application, Identity, Load, Scenario, load_scenario
from harness.strategies import strategy_names
from harness.strategies.base import Options
from harness.strategies.dnat import DnatRandom

ROOT = Path(__file__).parents[2]
_STRATEGIES = f"(strategies: {', '.join(strategy_names())})"
RIGHT = "strategy: dnat-random\nreplicas: 10\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one folder for all; hypothesis would not get a fresh one for each example anyway."""
    return tmp_path_factory.mktemp("scenarios")


def load(folder: Path, content: str | bytes, *overrides: str) -> Scenario:
    file = folder / "x.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_scenario(file, overrides)


def complaint(folder: Path, content: str | bytes, *overrides: str) -> str:
    try:
        load(folder, content, *overrides)
    except ScenarioError as error:
        return str(error)
    return "none"


def refused(folder: Path, content: str | bytes, *overrides: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(folder, content, *overrides)
    return str(caught.value).replace(f"{folder}/", "")


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


_TOO_LARGE = "Python int too large to convert to C int"
_NO_FOLDER = (
    "can't name a folder; write at most 64 letters, digits, '.', '_' and '-', a letter or digit first "
    "(without this key, the file's name is taken)"
)
_NO_PATTERN = "application.identity.body: '{}' is no regular expression"
_NO_PATH = "is no path; write '/' and printable ASCII without blanks"
_KEYS = (
    "name, description, host, engine, strategy, replicas, client, port, application, load, tolerance, "
    "confidence, expect, seed, repeat"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: expected a mapping, such as strategy: dnat-random, found nothing"),
        ("# only this\n", "1:1: expected a mapping, such as strategy: dnat-random, found nothing"),
        ("- a\n", "1:1: expected a mapping, such as strategy: dnat-random, found a list"),
        ("text\n", "1:1: expected a mapping, such as strategy: dnat-random, found the text 'text'"),
        ("!x {}\n", "1:1: tag !x is not followed; write the plain value"),
        ("a: [1\n", "2:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 'b\n", "2:1: not YAML: found unexpected end of stream"),
        ("\ta: b\n", "1:1: not YAML: found character '\\t' that cannot start any token"),
        ("a:\n  b\x07\n", "2:4: not YAML: character U+0007 is not allowed"),
        (RIGHT + "---\n" + RIGHT, "3:1: a second document starts here; a scenario is one"),
        (RIGHT + "replicas: 3\n", "3:1: duplicate key 'replicas', first given at x.yaml:2:1"),
        (
            RIGHT + "load: {warm-up: 1s, warm_up: 1s}\n",
            "3:21: duplicate key 'load.warm_up', first given at x.yaml:3:8",
        ),
        (RIGHT + "1: x\n", "3:1: key 1 is not text; put it in quotes"),
        (RIGHT + "true: x\n", "3:1: key true is not text; put it in quotes"),
        (RIGHT + "? [a, b]\n: {c: [d]}\n", "3:3: a key must be text"),
        (RIGHT + ": x\n", "3:1: a key must be text"),
        (RIGHT + "*a : x\n", "3:1: a key must be text"),
        (RIGHT + "load: !!python/object:os.system {a: b}\n",
         "3:7: load: tag !!python/object:os.system is not followed; write the plain value"),
        (RIGHT + "name: &a x\ndescription: *a\n",
         "4:14: description: alias *a is not followed; write the value itself"),
        (RIGHT + "load: &a {headers: *a}\n",
         "3:20: load.headers: alias *a is not followed; write the value itself"),
        (RIGHT + "<<: {a: b}\n", f"3:1: unknown key '<<' (keys: {_KEYS})"),
        (RIGHT + "load: " + "[" * 10_000, "3:27: nested more than 20 levels deep; no scenario needs that"),
        (RIGHT + "load: [" + "0," * 30_000, "3:39990: too many values; a scenario is a page of text"),
        (RIGHT + 'description: "\\ud800"\n',
         "3:14: description: holds half a surrogate pair, which is no character"),
        (RIGHT + 'description: "\\UFFFFFFFF"\n',
         f"1:1: not YAML: this can't be parsed ({_TOO_LARGE}); look for an escape beyond \\U0010FFFF"),
    ],
)  # fmt: skip
def test_text_that_is_no_scenario_is_refused_at_its_place(folder: Path, text: str, message: str) -> None:
    """Odd YAML is neither followed nor died of."""
    assert refused(folder, text) == f"x.yaml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replicas: 10\n", "1:1: missing key 'strategy'; write, for example, strategy: dnat-random"),
        ("strategy: dnat-random\n", "1:1: missing key 'replicas'; write, for example, replicas: 10"),
        ("strategy: {}\nreplicas: 1\n",
         "1:11: missing key 'strategy.name'; write, for example, name: dnat-random"),
        ("strategy: 5\nreplicas: 1\n",
         "1:11: strategy: expected a strategy's name, or a mapping with it, found the number 5"),
        ("strategy: {name: 5}\nreplicas: 1\n",
         "1:18: strategy.name: expected text, found the number 5; put it in quotes"),
        ("strategy: dnat-rnd\nreplicas: 1\n",
         "1:11: unknown strategy 'dnat-rnd', did you mean 'dnat-random'? " + _STRATEGIES),
        ("strategy: {name: dnat-rnd}\nreplicas: 1\n",
         "1:18: unknown strategy 'dnat-rnd', did you mean 'dnat-random'? " + _STRATEGIES),
        ("strategy: {name: dnat-random, weight: 2}\nreplicas: 1\n",
         "1:31: unknown key 'strategy.weight' (keys: name)"),
        ("strategy: dnat-random\nreplicas: true\n", "2:11: replicas: expected a whole number, found true"),
        ("strategy: dnat-random\nreplicas: 1.5\n",
         "2:11: replicas: expected a whole number, found the number 1.5"),
        ("strategy: dnat-random\nreplicas: '10'\n",
         "2:11: replicas: expected a whole number, found the text '10'; take away the quotes"),
        ("strategy: dnat-random\nreplicas: [1]\n", "2:11: replicas: expected a whole number, found a list"),
        ("strategy: dnat-random\nreplicas:\nport: 80\n",
         "2:1: replicas: has no value; write one, or take the key out"),
        ("strategy: dnat-random\nreplicas: .nan\n", "2:11: replicas: .nan is not a finite number"),
        ("strategy: dnat-random\nreplicas: -.inf\n", "2:11: replicas: -.inf is not a finite number"),
        ("strategy: dnat-random\nreplicas: 1e999\n", "2:11: replicas: 1e999 is beyond the greatest number"),
        ("strategy: dnat-random\nreplicas: " + "9" * 5000,
         "2:11: replicas: a number of 5000 digits is beyond all use"),
        ("strategy: dnat-random\nreplicas: 0\n",
         "2:11: replicas: 0 is too few; write a whole number of at least 1"),
        ("strategy: dnat-random\nreplicas: -0x10\n",
         "2:11: replicas: expected a whole number, found the text '-0x10'"),
        ("strategy: dnat-random\nreplicas: 64001\n",
         "2:11: replicas: 64001 is too many; host 'netns' has addresses for 64000 instances at most"),
    ],
)  # fmt: skip
def test_a_wrong_strategy_or_number_of_replicas_is_refused(folder: Path, text: str, message: str) -> None:
    """What every scenario must say is asked for by example."""
    assert refused(folder, text) == f"x.yaml:{message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hots: netns", "1: unknown key 'hots', did you mean 'host'?"),
        ("zzz: 1", f"1: unknown key 'zzz' (keys: {_KEYS})"),
        ("host: nets", "7: unknown host 'nets', did you mean 'netns'? (hosts: netns)"),
        ("host: 5", "7: host: expected text, found the number 5; put it in quotes"),
        ("engine: proces", "9: unknown engine 'proces', did you mean 'process'? (engines: process)"),
        ("client: extrnal",
         "9: client: unknown value 'extrnal', did you mean 'external'? (values: external, local)"),
        ("client: 3", "9: client: unknown value 3 (values: external, local)"),
        ("expect: odd", "9: expect: unknown value 'odd' (values: even, uneven, inconclusive)"),
        ("port: 0", "7: port: 0 is too small; write a whole number of at least 1"),
        ("port: 65536", "7: port: 65536 is too large; write a whole number of at most 65535"),
        ("seed: -1", "7: seed: -1 is too small; write a whole number of at least 0"),
        ("seed: 9223372036854775808",
         "7: seed: 9223372036854775808 is too large; write a whole number of at most 9223372036854775807"),
        ("repeat: 0", "9: repeat: 0 is too few; write a whole number of at least 1"),
        ("repeat: 1001", "9: repeat: 1001 is too many; write a whole number of at most 1000"),
        ("name: ../x",
         f"7: name: '../x' {_NO_FOLDER}"),
        ("description: {a: 1}", "14: description: expected text, found a mapping"),
        ("tolerance: 0.1",
         "12: tolerance: 0.1 has no percent sign; write 0.1% or 10%, whichever is meant"),
        ("tolerance: 0%", "12: tolerance: 0% is out of range; write more than 0% and less than 100%"),
        ("tolerance: 100%", "12: tolerance: 100% is out of range; write more than 0% and less than 100%"),
        ("confidence: 49.9%", "13: confidence: 49.9% is out of range; write at least 50% and less than 100%"),
        ("confidence: 100%", "13: confidence: 100% is out of range; write at least 50% and less than 100%"),
        ("application: smple",
         "14: application: expected sample, or a mapping with a command, found the text 'smple'"),
        ("application: {image: nginx}",
         "22: application.image: engine 'process' runs commands, no images; write a command"),
        ("application: {command: a, image: b}",
         "34: application.image: command and image exclude each other; keep one"),
        ("application: {command: a, delay: 5ms}",
         "34: application.delay: only the sample can wait; take out delay, or the command or image"),
        ("application: {command: []}",
         "24: application.command: names no program; write the program and its arguments"),
        ("application: {command: ' '}",
         "24: application.command: names no program; write the program and its arguments"),
        ("application: {command: \"a 'b\"}",
         "24: application.command: \"a 'b\" can't be split into words: no closing quotation"),
        ("application: {command: [a, 8080]}",
         "28: application.command[1]: expected text, found the number 8080; put it in quotes"),
        ("application: {command: {a: b}}",
         "24: application.command: expected a command as text or list, found a mapping"),
        ('application: {command: ["a\\0"]}',
         "25: application.command[0]: a program can't be given a NUL character; take it out"),
        ("application: {env: {A: 1}}",
         "24: application.env.A: expected text, found the number 1; put it in quotes"),
        ("application: {env: {'[key]': 1}}",
         "30: application.env.[key]: expected text, found the number 1; put it in quotes"),
        ("application: {env: {A=B: x}}",
         "21: application.env.A=B: 'A=B' is no variable's name; write one without '=' and NUL"),
        ("application: {env: [a]}", "20: application.env: expected a mapping, found a list"),
        ("application: {identity: {header: a b}}",
         "34: application.identity.header: 'a b' is no header name; write letters, digits and '-'"),
        ("application: {identity: {header: a, body: (b)}}",
         "43: application.identity.body: header and body exclude each other; keep one"),
        ("application: {identity: {body: a}}",
         "32: application.identity.body: 'a' has 0 groups; write one, around the instance's name"),
        ("application: {identity: {body: (a)(b)}}",
         "32: application.identity.body: '(a)(b)' has 2 groups; write one, around the instance's name"),
        ("application: {identity: {body: '(a'}}",
         f"32: {_NO_PATTERN.format('(a')}: missing ), unterminated subpattern at position 0"),
        ("application: {identity: {body: '([[a])'}}",
         f"32: {_NO_PATTERN.format('([[a])')}: Possible nested set at position 2"),
        ("application: {start-timeout: 0s}",
         "30: application.start_timeout: 0s is too short; write more than 0s"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_its_place(folder: Path, line: str, message: str) -> None:
    """The column is the value's, or the key's where the key is wrong."""
    assert refused(folder, f"{RIGHT}{line}\n") == f"x.yaml:3:{message}"


_CONNECTIONS = (
    "is no way to use connections; write per-request, keep-alive, or how many requests "
    "each connection carries (a whole number of at least 1)"
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load: 5", "7: load: expected a mapping, found the number 5"),
        ("load:", "1: load: has no value; write one, or take the key out"),
        ("load: {user: 5}", "8: unknown key 'load.user', did you mean 'load.users'?"),
        ("load: {duration_ns: 5}", "8: unknown key 'load.duration_ns', did you mean 'load.duration'?"),
        ("load: {model: open}",
         "15: load.model: this version drives closed-loop load only; write model: closed with users"),
        ("load: {rate: 200/s}", "14: load.rate: a closed loop has no rate; take it out and write users"),
        ("load: {users: 0}", "15: load.users: 0 is too few; write a whole number of at least 1"),
        ("load: {users: 100001}",
         "15: load.users: 100001 is too many; write a whole number of at most 100000"),
        ("load: {duration: 10}", "18: load.duration: 10 has no unit; write 10s or 500ms"),
        ("load: {duration: 0s}", "18: load.duration: 0s is too short; write more than 0s"),
        ("load: {duration: 1s}",
         "18: load.warm_up (2s) is longer than load.duration (1s); shorten the one or lengthen the other"),
        ("load: {duration: 1s, warm-up: 90s}",
         "31: load.warm_up (1m30s) is longer than load.duration (1s); shorten the one or lengthen the other"),
        ("load: {connections: 0}", f"21: load.connections: 0 {_CONNECTIONS}"),
        ("load: {connections: true}", f"21: load.connections: true {_CONNECTIONS}"),
        ("load: {connections: pooled}", f"21: load.connections: 'pooled' {_CONNECTIONS}"),
        ("load: {path: a}", f"14: load.path: 'a' {_NO_PATH}"),
        ("load: {path: /a b}", f"14: load.path: '/a b' {_NO_PATH}"),
        ('load: {path: "/\\n"}', f"14: load.path: '/\\n' {_NO_PATH}"),
        ("load: {path: /ä}", f"14: load.path: '/ä' {_NO_PATH}"),
        ("load: {headers: {connection: close}}",
         "18: load.headers.connection: the harness sets this header itself; take it out"),
        ("load: {headers: {'a b': c}}",
         "18: load.headers.a b: 'a b' is no header name; write letters, digits and '-'"),
        ('load: {headers: {a: "b\\r\\nc: d"}}',
         "21: load.headers.a: 'b\\r\\nc: d' is no header value; write printable ASCII"),
        ("load: {timeout: ~}", "17: load.timeout: has no value; write one, or take the key out"),
    ],
)  # fmt: skip
def test_wrong_load_is_refused_at_its_place(folder: Path, line: str, message: str) -> None:
    """Durations have units, and what would break a request is no part of one."""
    assert refused(folder, f"{RIGHT}{line}\n") == f"x.yaml:3:{message}"


def test_all_problems_are_told_in_the_files_order(folder: Path) -> None:
    """One run of the command is enough to mend the file."""
    text = "replica: 3\nload:\n  users: 0\n  users: 1\n  path: x\nport: 0\nstrategy: x\n"
    assert [line.split(": ")[0] for line in refused(folder, text, "seed=-1", "nonsense").splitlines()] == [
        "x.yaml:1:1",
        "x.yaml:1:1",
        "x.yaml:3:10",
        "x.yaml:4:3",
        "x.yaml:5:9",
        "x.yaml:6:7",
        "x.yaml:7:11",
        "--set seed=-1",
        "--set nonsense",
    ]


def test_an_engine_that_the_host_lacks_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is blamed where the engine is the default."""
    monkeypatch.setitem(HOSTS, "bare", HostKind("nothing", 5, frozenset({"docker"})))
    message = "x.yaml:3:7: host: host 'bare' has no engine 'process' (its engines: docker)"
    assert refused(folder, RIGHT + "host: bare\n").splitlines()[-1] == message


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


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["load.users=32"], "load.users", 32),
        (["load.warm-up=1s"], "load.warm_up", "1s"),
        (["load.headers.X-A=b"], "load.headers", {"X-A": "b"}),
        (["load={users: 3}"], "load.users", 3),
        (["replicas=1", "replicas=2"], "replicas", 2),
        (["description=a: b = c"], "description", None),
        (["description='a = b'"], "description", "a = b"),
        (["strategy.name=dnat-random"], "strategy", {"name": "dnat-random"}),
        (["strategy=dnat-random"], "strategy", {"name": "dnat-random"}),
        (["application.delay=5ms"], "application.delay", "5ms"),
        (["application.command=[a, b]", "application=sample"], "application.delay", "0s"),
        (["application.identity.body=(.*)"], "application.identity", {"body": "(.*)"}),
    ],
)
def test_an_override_replaces_what_the_file_says(
    folder: Path, overrides: list[str], path: str, value: object
) -> None:
    """Values are YAML, keys have dots, and mappings are made on the way."""
    text = RIGHT + "application: sample\n"
    if value is None:
        assert refused(folder, text, *overrides).startswith(f"--set {overrides[0]}: ")
        return
    found: Any = load(folder, text, *overrides).as_written()
    for key in path.split("."):
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("load.users=abc", "load.users: expected a whole number, found the text 'abc'"),
        ("load.users", "there is no '='; write KEY=VALUE, such as load.users=32"),
        ("load.usrs=3", "unknown key 'load.usrs', did you mean 'load.users'?"),
        ("=3", f"unknown key '' (keys: {_KEYS})"),
        ("replicas.x=3", "replicas is 10, no mapping; set it as a whole"),
        ("load.users=", "load.users: has no value; write one, or take the key out"),
        ("load.users=[1", "not YAML: expected ',' or ']', but got '<stream end>'"),
        ("strategy.name=x", "unknown strategy 'x' " + _STRATEGIES),
        ("load.users={a: 1, a: 2}",
         "duplicate key 'load.users.a', first given at --set load.users={a: 1, a: 2}"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_its_own_place(folder: Path, override: str, words: str) -> None:
    """The file is not blamed for the command line."""
    assert refused(folder, RIGHT, override).splitlines()[0] == f"--set {override}: {words}"


def test_an_override_mends_what_the_file_lacks(folder: Path) -> None:
    """A key without a value, or with a wrong one, is no problem once it is replaced."""
    text = "strategy: dnat-random\nreplicas:\nload: {users: *many}\nport: no\n"
    assert load(folder, text.replace("*many", "0"), "replicas=2", "load.users=3", "port=80").replicas == 2


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


pieces = st.sampled_from(
    [
        *"abx019 \n:-,[]{}'\"#&*!|>%@`?~\\\t=<.\ufeff\u2028\x85",
        *("\n  ", ": ", "- ", "---\n", "strategy: ", "load: ", "replicas: ", "dnat-random"),
        *("!!int ", "*a", "&a ", "\\x", "\\ud800", "\\UFFFFFFFF"),
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=40).map(lambda p: "".join(p).encode())))
def test_any_bytes_give_a_scenario_or_a_scenario_error(folder: Path, content: bytes) -> None:
    """Nothing else is ever raised, and no line of a message is empty."""
    for prefix in (b"", RIGHT.encode()):
        assert all(complaint(folder, prefix + content).split("\n"))


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["10s", "0s", "5%", "200/s", "sample", "dnat-random", "netns", "per-request", "open", "a (b)"]
    ),
)
_WORDS = st.sampled_from(
    [
        *Scenario.file_keys(),
        *Application.file_keys(),
        *Identity.file_keys(),
        *Load.file_keys(),
        "start-timeout",
        "warm-up",
    ]
)
_STRUCTURES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(_WORDS, st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(_WORDS, _STRUCTURES, max_size=8), st.lists(st.text(max_size=12), max_size=2))
def test_any_structure_gives_a_scenario_or_a_scenario_error(
    folder: Path, structure: dict[str, Any], overrides: list[str]
) -> None:
    """Whatever stands where something else should, the answer is in our own words."""
    text = json.dumps({"strategy": "dnat-random", "replicas": 2} | structure)
    words = complaint(folder, text, *overrides)
    assert "Input should" not in words
    assert "is not valid here" not in words


_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_TOKENS = st.text("abcXYZ019-!#", min_size=1, max_size=8)
_DURATIONS = st.integers(1, 10**13)
_SCENARIOS = st.fixed_dictionaries(
    {
        "name": st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
        "description": _ANY_TEXT,
        "strategy": st.just("dnat-random"),
        "replicas": st.integers(1, 64_000),
        "tolerance": st.decimals("0.001", "99.999", places=3).map(lambda d: f"{d}%"),
        "confidence": st.decimals(50, "99.9999", places=4).map(lambda d: f"{d}%"),
        "application": st.fixed_dictionaries(
            {
                "command": st.lists(_ANY_TEXT.filter(bool), min_size=1, max_size=3),
                "env": st.dictionaries(_TOKENS, _ANY_TEXT, max_size=2),
                "identity": st.fixed_dictionaries({"header": _TOKENS}) | st.just({"body": "(.*)"}),
                "start_timeout": _DURATIONS.map(lambda ns: f"{ns}ns"),
            }
        ),
        "load": st.fixed_dictionaries(
            {
                "users": st.integers(1, 100_000),
                "duration": _DURATIONS.map(lambda ns: f"{ns}ns"),
                "warm_up": st.just("0s"),
                "connections": st.integers(1) | st.sampled_from(["per-request", "keep-alive"]),
                "headers": st.dictionaries(_TOKENS, st.text("a b:'\"#\t~", max_size=5), max_size=2),
            }
        ),
    }
)


@settings(deadline=None)
@given(_SCENARIOS, st.sampled_from(["rt", "safe"]))
@example({"strategy": "dnat-random", "replicas": 1, "description": ".5e5"}, "rt")
@example({"strategy": "dnat-random", "replicas": 1, "application": {"command": ["\x85"]}}, "rt")
@example({"strategy": "dnat-random", "replicas": 1, "description": "0o17"}, "rt")
def test_a_scenario_as_written_loads_as_the_same(folder: Path, structure: dict[str, Any], kind: str) -> None:
    """Complete and in a file's words, whichever way ruamel.yaml dumps it."""
    scenario = load(folder, json.dumps(structure))
    stream = io.StringIO()
    yaml = YAML(typ=kind, pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = False
    yaml.dump(scenario.as_written(), stream)
    assert load(folder, stream.getvalue()) == scenario

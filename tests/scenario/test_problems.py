"""Every mistake in a scenario file is told at its place, in words that say what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario
from tests.scenario.conftest import KEYS, RIGHT, STRATEGIES, refused

if TYPE_CHECKING:
    from tests.conftest import Harness

try:
    chr(0xFFFFFFFF)
except (OverflowError, ValueError) as error:  # its words differ between versions of Python
    _TOO_LARGE = str(error)
_NO_FOLDER = (
    "can't name a folder; write at most 64 letters, digits, '.', '_' and '-', a letter or digit first "
    "(without this key, the file's name is taken)"
)
_NO_PATTERN = "application.identity.body: '{}' is no regular expression"
_NO_PATH = "is no path; write '/' and printable ASCII without blanks"


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
        (RIGHT + "<<: {a: b}\n", f"3:1: unknown key '<<' (keys: {KEYS})"),
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
         "1:11: unknown strategy 'dnat-rnd', did you mean 'dnat-random'? " + STRATEGIES),
        ("strategy: {name: dnat-rnd}\nreplicas: 1\n",
         "1:18: unknown strategy 'dnat-rnd', did you mean 'dnat-random'? " + STRATEGIES),
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
        ("zzz: 1", f"1: unknown key 'zzz' (keys: {KEYS})"),
        ("host: nets", "7: unknown host 'nets', did you mean 'netns'? (hosts: netns, vagrant)"),
        ("host: 5", "7: host: expected text, found the number 5; put it in quotes"),
        ("engine: proces",
         "9: unknown engine 'proces', did you mean 'process'? (engines: docker, podman, process)"),
        ("client: extrnal",
         "9: client: unknown value 'extrnal', did you mean 'external'? (values: external, local)"),
        ("client: 3", "9: client: unknown value 3 (values: external, local)"),
        ("expect: odd", "9: expect: unknown value 'odd' (values: even, uneven, inconclusive, refused)"),
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
         ("22: application.image: engine 'process' runs commands, no images; write a command, or engine: "
          "docker or podman")),
        ("application: {command: a, image: b}",
         ("34: application.image: engine 'process' runs commands, no images; write a command, or engine: "
          "docker or podman")),
        ("resources: {cpus: 1}",
         "12: resources: engine 'process' sets no limits; take it out, or write engine: docker or podman"),
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
        ("load: {requests: 0}", "18: load.requests: 0 is too few; write a whole number of at least 1"),
        ("load: {requests: 300/s}",
         "18: load.requests: expected a whole number, found the text '300/s'"),
        ("load:", "1: load: has no value; write one, or take the key out"),
        ("load: {usrs: 5}", "8: unknown key 'load.usrs', did you mean 'load.users'?"),
        ("load: {duration_ns: 5}", "8: unknown key 'load.duration_ns', did you mean 'load.duration'?"),
        ("load: {model: open}", "15: an open loop needs a rate; write rate: 200/s, or stages"),
        ("load: {rate: 200/s}",
         "14: load.rate: a closed loop has no rate; take it out and write users, or write model: open"),
        ("load: {model: open, rate: 0/s}", "27: load.rate: write more than 0/s and at most 1000000/s"),
        ("load: {locustfile: nowhere.py}",
         f"20: load.locustfile: 'nowhere.py' is no file that is there, seen from {Path.cwd()}"),
        ("load: {model: open, stages: []}",
         "29: load.stages: is empty; write at least one, as in [{rate: 100/s, for: 10s}]"),
        ("load: {stages: [{rate: 1/s, for: 10s}]}",
         "16: load.stages: each stage of a closed loop has users, and no rate, as in {users: 16, for: 10s}"),
        ("load: {stages: [{users: 3, for: 10s}], user: gevent}",
         "16: load.stages: only the compiled data plane takes users away in order; write user: wire"),
        ("load: {stages: [{users: 3, for: 10s}], spawn_rate: 1/s}",
         "52: stages say how many users there are when; take out spawn_rate"),
        ("load: {model: open, rate: 1/s, spawn_rate: 1/s}",
         "44: load.spawn_rate: users of an open loop don't come one by one; take it out"),
        ("load: {model: open, rate: 2/s, user: gevent}",
         "38: load.user: only the compiled data plane drives an open loop; write user: wire"),
        ("load: {model: open, rate: 2/s, stages: [{rate: 1/s, for: 10s}]}",
         "40: rate and stages exclude each other; keep one"),
        ("load: {model: open, duration: 9s, stages: [{rate: 1/s, for: 10s}]}",
         "31: load.duration (9s) is not what the stages last together (10s); take it out"),
        ("load: {model: open, stages: [{rate: 1/s, for: 10}]}",
         "47: load.stages[0].for: 10 has no unit; write 10s or 500ms"),
        ("load: {users: 0}", "15: load.users: 0 is too few; write a whole number of at least 1"),
        ("load: {users: 100001}",
         "15: load.users: 100001 is too many; write a whole number of at most 100000"),
        ("load: {duration: 10}", "18: load.duration: 10 has no unit; write 10s or 500ms"),
        ("load: {duration: 0s}", "18: load.duration: 0s is too short; write more than 0s"),
        ("load: {duration: 1s, warm_up: 2s}",
         "31: load.warm_up (2s) is longer than load.duration (1s); shorten the one or lengthen the other"),
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


@pytest.mark.parametrize(("mistakes", "more"), [(10, ""), (11, "1 more mistake;"), (80, "70 more mistakes;")])
def test_of_many_mistakes_the_first_ten_are_shown(
    tmp_path: Path, harness: Harness, mistakes: int, more: str
) -> None:
    """With how many more there are, by every command that reads the file."""
    path = tmp_path / "many.yaml"
    path.write_text(
        "".join(f"key{number}: 1\n" for number in range(mistakes - 2)) + "strategy: x\nreplicas: y\n"
    )
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    for text in (str(error.value), harness("validate", path).stderr):
        lines = text.splitlines()
        assert lines[0].startswith(f"{path}:1:1: unknown key 'key0'")
        assert len(lines) == 10 + bool(more)
        assert more in lines[-1]

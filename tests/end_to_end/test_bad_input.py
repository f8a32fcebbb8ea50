"""Whatever is wrong, the user gets a clear line or two and exit status 2, and nothing is left behind."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.end_to_end.conftest import Command

_RIGHT = "strategy: dnat-random\nreplicas: 2\nload: {duration: 1s, warm_up: 200ms, users: 2}\n"
# The program is really gone: hidden in a mount namespace that only this command sees.
_HIDE = """
for place in /usr/local/sbin /usr/sbin /sbin /usr/local/bin /usr/bin /bin; do
    [ ! -e $place/iptables-restore ] || mount --bind /dev/null $place/iptables-restore
done
exec "$@"
"""
_WITHOUT_IPTABLES = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _HIDE, "sh")


def _refused(finished: subprocess.CompletedProcess[str], *words: str) -> None:
    assert finished.returncode == 2, finished
    assert finished.stdout == ""
    told = [
        line for line in finished.stderr.splitlines() if not re.match(r"[a-z -]+( \(.*\))?: \d+\.\d s$", line)
    ]
    assert 1 <= len(told) <= 2, finished.stderr
    for word in words:
        assert word in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strategy: [", ["scenario.yaml:1:"]),
        ("just text", ["scenario.yaml:1:1"]),
        ("", ["scenario.yaml:1:1", "found nothing"]),
        ("strategy: dnat-random\nreplicas: many\n", ["scenario.yaml:2:11", "replicas", "many"]),
        ("strategy: dnat-random\nreplica: 3\n", ["scenario.yaml:2:1", "did you mean 'replicas'?"]),
        ("strategy: dnat-rndom\nreplicas: 3\n", ["scenario.yaml:1:11", "did you mean 'dnat-random'?"]),
        ("strategy: dnat-random\nreplicas: 0\n", ["scenario.yaml:2:11", "at least 1"]),
        ("strategy: dnat-random\nreplicas: -3\n", ["scenario.yaml:2:11", "at least 1"]),
        ("strategy: dnat-random\nreplicas: 64001\n", ["scenario.yaml:2:11", "64000"]),
        (_RIGHT + "tolerance: 101%\n", ["scenario.yaml:4:12", "100"]),
        (_RIGHT + "tolerance: -1%\n", ["scenario.yaml:4:12", "tolerance"]),
        (
            "strategy: dnat-random\nreplicas: 2\nload: {duration: 1s, warm_up: 2s}\n",
            ["scenario.yaml:3:31", "load.warm_up (2s) is longer than load.duration (1s)"],
        ),
    ],
)
def test_a_scenario_that_is_wrong_is_refused_with_the_place(
    harness: Command, text: str, words: list[str]
) -> None:
    """The message names file, line and column, what is wrong and what would be right."""
    _refused(harness("run", harness.scenario(text)), *words)
    assert not (harness.folder / "results").exists()


def test_a_missing_file_is_named(harness: Command) -> None:
    """A mistyped path is no traceback."""
    _refused(harness("run", "nowhere.yaml"), "nowhere.yaml")


def test_a_folder_is_not_a_scenario(harness: Command) -> None:
    """The message says that it is a folder."""
    _refused(harness("run", "."), "folder")


def test_missing_iptables_is_told_before_anything_is_made(harness: Command) -> None:
    """The message names the package, and the command that tells of everything else."""
    finished = harness("run", harness.scenario(_RIGHT), user=_WITHOUT_IPTABLES)
    _refused(finished, "dnat-random needs iptables-restore", "apt-get install iptables", "harness doctor")


@pytest.mark.parametrize(
    ("application", "words"),
    [
        (
            "{command: ['%s', -c, 'import sys; sys.exit(\"no licence\")']}",
            ["died (exit status 1)", "no licence"],
        ),
        ("{command: /no/such/program}", ["/no/such/program"]),
        (
            "{command: [sleep, '100'], start_timeout: 500ms}",
            ["never listened on port 8080 within 0.5 s", "sleep 100"],
        ),
        (
            "{command: ['%s', -m, http.server, '8081'], start_timeout: 5s}",
            ["never listened on port 8080", "listening on: 8081", "is application.port right?"],
        ),
        (
            "{command: ['%s', -m, http.server, '8080']}",
            ["no answer of 198.18.37.99:80 names its instance", "header X-Instance", "HTTP/1.0 200 OK"],
        ),
    ],
)
def test_an_application_that_does_not_work_is_told_in_its_own_words(
    harness: Command, application: str, words: list[str]
) -> None:
    """What the application last said, or what it answered, reaches the user."""
    application = application.replace("%s", sys.executable)
    _refused(harness("run", harness.scenario(f"{_RIGHT}application: {application}\n")), *words)
    assert list((harness.folder / "results").iterdir()) == []


def test_a_port_that_nobody_answers_is_told(harness: Command) -> None:
    """An application that listens but says nothing ends the run in its warm-up."""
    code = "import socket,time; s=socket.create_server(('',8080)); time.sleep(100)"
    text = f"{_RIGHT}application: {{command: ['{sys.executable}', -c, \"{code}\"]}}\n"
    finished = harness("run", harness.scenario(text), "--set", "load.timeout=200ms")
    _refused(finished, "no answer at 198.18.37.99:80/", "timed out")


def test_a_results_folder_that_is_a_file_is_told_before_anything_is_made(harness: Command) -> None:
    """The message names the path and the way to choose another."""
    (harness.folder / "taken").write_text("")
    finished = harness("run", harness.scenario(_RIGHT), "--results", "taken/results")
    _refused(finished, "taken/results", "--output")


def test_a_results_folder_that_may_not_be_written_is_told(
    harness: Command, public_tmp_path: Path, ordinary_user: tuple[str, ...]
) -> None:
    """An ordinary user learns of it before anything is made."""
    harness.scenario(_RIGHT)
    public_tmp_path.chmod(0o555)
    finished = harness("run", "scenario.yaml", user=ordinary_user)
    public_tmp_path.chmod(0o755)
    _refused(finished, "results", "Permission denied", "--output")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run"], "SCENARIO"),
        (["rnu"], "rnu"),
        (["run", "scenario.yaml", "--set", "load.users"], "--set load.users"),
        (["schema", "nothing"], "nothing"),
    ],
)
def test_a_wrong_command_line_is_refused(harness: Command, arguments: list[str], word: str) -> None:
    """Usage errors have the same exit status as all others."""
    harness.scenario(_RIGHT)
    finished = harness(*arguments)
    assert finished.returncode == 2
    assert word in finished.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_leaves_ends_the_command_quietly(harness: Command, stream: str) -> None:
    """`harness … | head` is no verdict, and no complaint either."""
    process = (
        harness.start("run", harness.scenario("x: 1\n")) if stream == "stderr" else harness.start("--help")
    )
    closed, other = (
        (process.stdout, process.stderr) if stream == "stdout" else (process.stderr, process.stdout)
    )
    assert closed is not None
    assert other is not None
    closed.close()
    assert other.read() == ""
    assert process.wait(20) == 2


def test_help_comes_at_once_and_teaches(harness: Command) -> None:
    """Help shows examples and exit statuses."""
    assert "harness run scenarios/dnat-10.yaml" in harness("--help").stdout
    run = harness("run", "--help").stdout
    assert "--set load.duration=5s" in run
    assert "3 inconclusive" in run


def test_validate_tells_every_problem_of_every_file(harness: Command) -> None:
    """One bad file does not hide another."""
    (harness.folder / "good.yaml").write_text(_RIGHT)
    (harness.folder / "bad.yaml").write_text("strategy: x\nreplicas: y\n")
    finished = harness("validate", "bad.yaml", "good.yaml")
    assert finished.returncode == 2
    assert finished.stdout == "good.yaml: right\n"
    assert "bad.yaml:1:11" in finished.stderr
    assert "bad.yaml:2:11" in finished.stderr


def test_the_strategies_are_listed_with_what_they_say_of_themselves(harness: Command) -> None:
    """One line for each strategy that a scenario can name."""
    listed = harness("list", "strategies").stdout
    for words in ("dnat-nth", "round robin", "nft-random", "connection", "multinomial", "kernel hash"):
        assert words in listed


@pytest.mark.containers
@pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root")
def test_doctor_tries_every_part(harness: Command) -> None:
    """On a machine with all parts, everything works and the exit status is 0."""
    finished = harness("doctor")
    assert finished.returncode == 0, finished.stdout
    assert re.search(r"works +strategy +dnat-random", finished.stdout)


def test_doctor_names_what_would_mend_a_missing_part(harness: Command) -> None:
    """Beside the part, and once for all parts together; each word of the table is explained."""
    finished = harness("doctor", user=_WITHOUT_IPTABLES)
    assert finished.returncode == 1
    assert re.search(
        r"^to install what is missing: sudo apt-get install .*iptables", finished.stdout, re.MULTILINE
    )
    assert re.search(r"^missing +\d+  can be installed", finished.stdout, re.MULTILINE)
    assert re.search(r"^works +\d+  tried just now", finished.stdout, re.MULTILINE)

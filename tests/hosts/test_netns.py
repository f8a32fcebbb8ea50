"""The netns host: made of real namespaces, for this user or another, and gone when it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.hosts import MOST_SOURCES
from harness.hosts.address_plan import IPV4
from harness.hosts.netns import NetnsHost, why_no_namespaces

if TYPE_CHECKING:
    from collections.abc import Callable


def _gone(pid: int, deadline_s: float = 5) -> bool:
    end_s = time.monotonic() + deadline_s
    while time.monotonic() < end_s:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.01)
    return False


def _pid_inside(host: NetnsHost) -> int:
    """Find the process that the supervisor forked, as this PID namespace numbers it."""
    assert host._supervisor is not None
    supervisor = host._supervisor.pid
    return int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])


def test_programs_run_inside_and_not_on_this_machine(host: NetnsHost) -> None:
    """The host has its own network, processes and /run, and whoever runs it is root there."""
    finished = host.run(
        ["sh", "-c", "id -u; ls /sys/class/net >/dev/null; cat /proc/net/dev; ls /run; echo $$"]
    )
    assert finished.status == 0
    lines = finished.stdout.split("\n")
    assert lines[0] == "0"
    assert "ext0" in finished.stdout
    assert int(lines[-2]) < 100
    assert "ext0" not in Path("/proc/net/dev").read_text()


def test_a_programs_input_output_and_status_come_back(host: NetnsHost) -> None:
    """What is written to a program's input comes out, with its errors and its exit status."""
    finished = host.run(["sh", "-c", "cat; echo oops >&2; exit 7"], "hello\n")
    assert (finished.status, finished.stdout, finished.stderr) == (7, "hello\n", "oops\n")


def test_a_missing_program_is_named(host: NetnsHost) -> None:
    """The error names the program, and the host goes on working."""
    with pytest.raises(HostError, match="no-such-program"):
        host.run(["no-such-program"])
    assert host.run(["true"]).status == 0


def test_clients_elsewhere_reach_the_host_from_each_of_their_addresses(
    host: NetnsHost, on_client_side: Callable[[str], object]
) -> None:
    """Every source address can speak to the host's external address, and to nothing else."""
    answer = on_client_side(
        f"""
result = []
for source in {host.sources!r}:
    with socket.socket() as sock:
        sock.bind((source, 0))
        result.append(sock.connect_ex(("198.18.37.99", 9)))  # refused: the host answered
with socket.socket() as sock:
    result.append(sock.connect_ex(("198.19.0.2", 80)))  # no way there
channel.send({{"answer": result}})
""",
    )
    assert answer == [111] * 16 + [101]
    assert len(set(host.sources)) == 16


@pytest.mark.host
def test_clients_on_the_host_itself_have_addresses_of_their_own() -> None:
    """The local client side speaks from the host's own addresses."""
    with NetnsHost("local") as host:
        host.start()
        host.link()
        code = (
            "import socket, sys\nfor source in sys.argv[1:]:\n s = socket.socket(); s.bind((source, 0))\n"
            " print(s.connect_ex(('198.18.37.99', 9)))  # refused: the host answered"
        )
        assert host.run(["python3", "-c", code, *host.sources]).stdout.split() == ["111"] * 16


@pytest.mark.host
def test_clients_have_as_many_addresses_as_asked_for() -> None:
    """The last of the most that there can be works as well as the first."""
    with NetnsHost("local", MOST_SOURCES) as host:
        host.start()
        host.link()
        assert len(set(host.sources)) == MOST_SOURCES
        code = "import socket, sys\ns = socket.socket(); s.bind((sys.argv[1], 0))"
        assert host.run(["python3", "-c", code, host.sources[-1]]).status == 0


def test_instances_beyond_one_bridge_get_addresses_on_several() -> None:
    """Every thousand instances have a /22 of their own."""
    assert [IPV4.instance(k) for k in (0, 999, 1000, 63_999)] == [
        "198.19.0.2",
        "198.19.3.233",
        "198.19.4.2",
        "198.19.255.233",
    ]


@pytest.mark.host
def test_closed_host_leaves_nothing() -> None:
    """Closing waits until every process inside has ended."""
    with NetnsHost("external") as host:
        host.start()
        program = host.spawn(["sleep", "1000"], "client", "generator")
        inside = _pid_inside(host)
        children = Path(f"/proc/{inside}/task/{inside}/children").read_text().split()
        assert len(children) == 1
    assert not Path(f"/proc/{inside}").exists()
    assert not Path(f"/proc/{children[0]}").exists()
    assert program.channel.fileno() == -1


@pytest.mark.host
@pytest.mark.parametrize("victim", ["supervisor", "inside"])
def test_killing_its_processes_ends_all_of_it_and_says_so(victim: str) -> None:
    """Whichever of its own processes is killed, the rest goes, and the next request tells of it."""
    with NetnsHost("external") as host:
        host.start()
        host.spawn(["sleep", "1000"], "host", "instances")
        inside = _pid_inside(host)
        assert host._supervisor is not None
        child = int(Path(f"/proc/{inside}/task/{inside}/children").read_text().split()[0])
        os.kill(host._supervisor.pid if victim == "supervisor" else inside, signal.SIGKILL)
        assert _gone(inside)
        assert _gone(child)
        with pytest.raises(HostError, match="has gone"):
            host.run(["true"])


def test_ended_connections_are_soon_forgotten_once_rules_track_them(host: NetnsHost) -> None:
    """The limit is set when a strategy has exposed its members: before, tracking may not be loaded."""
    host.run(["nft", "add", "table", "ip", "any"])
    host.exposed()
    setting = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait"
    assert host.run(["cat", setting]).stdout == "10\n"


def test_host_counts_dropped_packets(host: NetnsHost) -> None:
    """A fresh host has dropped nothing."""
    assert host.dropped() == 0


_START = """
from harness.hosts.netns import NetnsHost
with NetnsHost("external") as host:
    host.start()
    host.link()
    print("up")
"""


def test_an_ordinary_user_can_make_one(ordinary_user: tuple[str, ...]) -> None:
    """No privilege is needed."""
    finished = subprocess.run(
        [*ordinary_user, sys.executable, "-c", _START], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (finished.stdout, finished.stderr) == ("up\n", "")


@pytest.mark.host
def test_a_machine_that_allows_no_namespaces_is_told_with_the_setting() -> None:
    """A real limit of zero gives the setting's name and the way round it."""
    finished = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
            "sh",
            sys.executable,
            "-c",
            _START,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "HostError: this machine allows no further user or network namespaces" in finished.stderr
    assert "sudo sysctl -w user.max_user_namespaces=15000" in finished.stderr


@pytest.mark.parametrize(
    ("setting", "forbids", "mend"),
    [
        ("apparmor_restrict_unprivileged_userns", "1", "=0"),
        ("unprivileged_userns_clone", "0", "=1"),
    ],
)
def test_the_setting_that_forbids_namespaces_to_ordinary_users_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, forbids: str, mend: str
) -> None:
    """Ubuntu's AppArmor setting and Debian's older one are told with the command that changes them."""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / setting).write_text(f"{forbids}\n")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    told = why_no_namespaces(1, tmp_path)
    assert f"kernel.{setting} = {forbids}" in told
    assert f"sudo sysctl -w kernel.{setting}{mend}, or run the harness as root (sudo)" in told


def test_a_refusal_without_a_known_setting_still_says_what_to_do() -> None:
    """Containers forbid namespaces by other means."""
    assert "--privileged" in why_no_namespaces(1)

"""Programs that serve on a host: started, watched, spoken to, stopped, and what they cost."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost

# It listens late, and from a process of its own, as proxies with a master process do.
_LATE = """
import os, signal, socket, sys, time
child = os.fork()
if child:
    signal.signal(signal.SIGUSR1, lambda *_: print("told", flush=True))
    while True:
        signal.pause()
time.sleep(0.3)
listener = socket.create_server(("", int(sys.argv[1])))
print("listening", flush=True)
while True:
    sock, _ = listener.accept()
    sock.sendall(b"hello")
    sock.close()
"""
_UNIX = """
import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/sameport/test.sock")
listener.listen()
tcp = socket.create_server(("", 7100))
sock, _ = listener.accept()
sock.sendall(b"hello")
time.sleep(60)
"""


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def _gone(host: NetnsHost, words: str) -> bool:
    """Wait until no process of the host has these words in its command line."""
    end_s = time.monotonic() + 10
    look = 'grep -lsF -- "$1" /proc/[0-9]*/cmdline | grep -v -e /self/ -e /$$/'
    while host.run(["sh", "-c", look, "sh", words]).stdout.count("/proc/") > 1:  # grep's own
        if time.monotonic() > end_s:
            return False
    return True


def test_a_service_is_ready_when_one_of_its_processes_listens(host: NetnsHost) -> None:
    """Then it can be connected to on the host's loopback; stopping it ends all of its processes."""
    service = host.serve("late", _python(_LATE, "7100"))
    service.wait_listening([7100])
    with host.connect(7100) as sock:
        assert sock.recv(100) == b"hello"
    assert host.died() == []
    service.stop()
    with pytest.raises(HostError, match=r"could not connect 7100: Connection refused"):
        host.connect(7100)
    assert _gone(host, "listening")
    assert host.died() == []


def test_a_socket_of_another_service_does_not_make_one_ready(host: NetnsHost) -> None:
    """Two may share a port; each is waited for by itself."""
    host.serve("late", _python(_LATE, "7100")).wait_listening([7100])
    with pytest.raises(HostError, match=r"second ended \(exit status 1\): .*Address already in use"):
        host.serve("second", _python(_LATE.replace("os.fork()", "0"), "7100")).wait_listening([7100])


def test_a_service_that_ends_by_itself_is_told_of_with_its_last_words(host: NetnsHost) -> None:
    """By whoever waits for it, and at the end of a run."""
    service = host.serve("brief", _python("import sys; sys.exit('no such luck')"))
    with pytest.raises(HostError, match=r"^brief ended \(exit status 1\): no such luck$"):
        service.wait_listening([7100])
    assert host.died() == ["brief ended (exit status 1): no such luck"]


def test_a_program_that_is_missing_is_named(host: NetnsHost) -> None:
    """Not as a defect of the harness."""
    with pytest.raises(HostError, match=r"could not serve no-such-proxy.*No such file or directory"):
        host.serve("proxy", ["no-such-proxy"])


def test_a_service_hears_signals_and_is_killed_when_it_does_not_listen_to_them(host: NetnsHost) -> None:
    """Stopping asks first, and then does not ask any more."""
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    service = host.serve("stubborn", _python(stubborn))
    service.signal(signal.SIGCONT)
    service.stop()
    assert _gone(host, "SIG_IGN")
    service.signal(signal.SIGCONT)  # nothing happens


def test_files_are_replaced_at_once_and_unix_sockets_can_be_spoken_to(host: NetnsHost) -> None:
    """A folder that is not there is made."""
    host.write("/run/sameport/new/folder/file", "one\n")
    host.write("/run/sameport/new/folder/file", "two\n")
    assert host.run(
        ["sh", "-c", "cat /run/sameport/new/folder/*; ls -A /run/sameport/new/folder"]
    ).stdout == ("two\nfile\n")
    host.serve("unix", _python(_UNIX)).wait_listening([7100])
    with host.connect("/run/sameport/test.sock") as sock:
        assert sock.recv(100) == b"hello"


def test_processor_time_is_told_by_role(host: NetnsHost) -> None:
    """With that of all processes that a service started, and none of others."""
    burn = """
import os, time
if os.fork() == 0:
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    import socket
    listener = socket.create_server(("", 7100))
time.sleep(60)
"""
    host.serve("burner", _python(burn)).wait_listening([7100])
    used = host.cpu_ns()
    assert 300_000_000 <= used["proxy"] < 3_000_000_000
    assert set(used) == {"proxy", "softirq"}
    again = host.cpu_ns()
    assert all(again[role] >= used[role] for role in used)


def test_programs_run_in_a_folder_that_everybody_can_enter(host: NetnsHost) -> None:
    """HAProxy, for one, goes back to where it was started, and fails where that is forbidden."""
    assert host.run(["pwd"]).stdout == "/\n"
    code = (
        "import os, socket; listener = socket.create_server(('', 7100 + len(os.getcwd()))); listener.accept()"
    )
    host.serve("where", _python(code)).wait_listening([7101])

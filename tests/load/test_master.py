"""Workers that share a load, and the master that merges what they record."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
import zmq

from harness.common.channel import Channel, Message
from harness.load.seal import Seal
from harness.recording.layout import as_array, dtype
from tests.load.conftest import PATIENCE_S, Generator, Outcome, Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from harness.load.profile import LoadProfile


HARNESS = str(Path(sys.executable).with_name("harness"))
SECRET = "5f0c" * 8


class Farm:
    """A generator that is a master, and its workers."""

    def __init__(self, commands: Sequence[Sequence[str]], awaited: int = 0) -> None:
        self.master = Generator()
        where = {"address": "127.0.0.1", "port": 0, "secret": SECRET}
        self.master.channel.send({"do": "gather", **where, "workers": awaited or len(commands)})
        self.port = self.master.channel.receive(PATIENCE_S)["port"]
        self.workers: list[subprocess.Popen[bytes]] = []
        self.channels: list[Channel] = []
        for command in commands:
            self.start(command)
        if commands:
            self.master.channel.receive(60)

    def start(self, command: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start one more worker, by a command that goes before its own."""
        ours, theirs = Channel.pair()
        self.channels.append(ours)
        with theirs:
            worker = subprocess.Popen(
                [
                    *command,
                    sys.executable,
                    "-m",
                    "harness.load",
                    f"127.0.0.1:{self.port}",
                    str(theirs.fileno()),
                ],
                pass_fds=(theirs.fileno(),),
            )
        ours.send({"secret": SECRET})
        self.workers.append(worker)
        return worker

    def drive(
        self, profile: LoadProfile, duration_s: float, during: Callable[[], None] | None = None
    ) -> Outcome:
        """Run one phase; `during` is called once there are requests."""
        with tempfile.TemporaryFile() as file:
            self.master.begin(profile, duration_s, file)
            progress: list[Message] = []
            while (message := self.master.channel.receive(30))["event"] == "progress":
                progress.append(message)
                if during is not None and message["requests"]:
                    during()
                    during = None
            assert message["event"] == "done", message
            file.seek(0)
            return Outcome(message, progress, as_array(file.read()))

    def close(self) -> None:
        """End everybody."""
        self.master.close()
        for channel in self.channels:
            channel.close()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(PATIENCE_S)
            worker.kill()
            worker.wait()


@pytest.fixture
def farm() -> Iterator[Callable[..., Farm]]:
    """Give a function that starts a master and its workers, each by a command that goes before its own."""
    with contextlib.ExitStack() as stack:

        def make(*commands: Sequence[str]) -> Farm:
            made = Farm(commands)
            stack.callback(made.close)
            return made

        yield make


def answer(server: Server, sock: socket.socket, number: int) -> None:
    """Answer every request on a connection; every third connection goes to another instance."""
    while server.request(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Instance: i%d\r\nContent-Length: 2\r\n\r\nok" % (number % 3))


def spread(profile: Callable[..., LoadProfile], port: int, **changes: Any) -> LoadProfile:
    """Give a load whose clients have four addresses."""
    return profile(port, sources=tuple(f"127.0.0.{number}" for number in range(2, 6)), **changes)


def test_workers_records_make_one_recording(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """The server's counts, the records, the reports and Locust's statistics agree to the last request."""
    server = serve(answer)
    outcome = farm((), (), ()).drive(spread(profile, server.port, requests=300, users=6), 20)
    server.settle()
    done, records = outcome.done, outcome.records
    assert server.requests == len(records) == done["requests"] == 300
    assert done["locust"] == {"num_requests": 300, "num_failures": 0}
    assert [worker["requests"] for worker in done["workers"]] == [100] * 3
    assert not any(worker["lost"] for worker in done["workers"])
    assert {worker["offset_ns"] for worker in done["workers"]} == {0}
    assert all(worker["same_clock"] and worker["cpu_ns"] > 0 for worker in done["workers"])
    # A connection a request, and no two have one number; each instance is the one that answered.
    assert len(np.unique(records["connection"])) == 300
    counts = np.bincount(records["instance"], minlength=3)
    assert {done["identities"][number]: int(counts[number]) for number in range(3)} == dict.fromkeys(
        ("i0", "i1", "i2"), 100
    )
    # The addresses that the server saw are those that the records name.
    seen = [server.peers.count(f"127.0.0.{number}") for number in range(2, 6)]
    assert np.bincount(records["source"], minlength=4).tolist() == seen
    assert done["connections"] == server.connections == 300
    assert (records["start_ns"] >= done["started_ns"]).all()
    assert (records["start_ns"] + records["latency_ns"] <= done["ended_ns"]).all()


def test_phases_have_their_own_records(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """Each has its own records, connections and identities, as of one generator."""
    server, both = serve(answer), farm((), ())
    for requests in (40, 60):
        outcome = both.drive(spread(profile, server.port, requests=requests), 20)
        assert len(outcome.records) == outcome.done["locust"]["num_requests"] == requests
        assert int(outcome.records["connection"].min()) < 2
    server.settle()
    assert server.requests == 100


def test_a_phase_can_be_ended_early(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """All workers finish what is under way, and everything is in the records."""
    server, both = serve(answer), farm((), ())
    outcome = both.drive(spread(profile, server.port), 60, lambda: both.master.channel.send({"do": "stop"}))
    server.settle()
    assert outcome.done["stopped_early"]
    assert outcome.done["elapsed_ns"] < 20_000_000_000
    assert len(outcome.records) == server.requests > 0


def test_an_open_loop_is_shared(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """Rates add up, and none is sent twice."""
    load = replace(spread(profile, serve(answer).port, users=40), user="wire", stages=((200.0, 10**9),))
    outcome = farm((), ()).drive(load, 1)
    assert abs(len(outcome.records) + outcome.done["unsent"] - 200) <= 2


@pytest.mark.host
def test_clocks_that_differ_are_brought_together(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """A worker whose clock is an hour ahead says so, and its records are among the others."""
    ahead_s = 3600
    own = ("unshare", "--user", "--map-root-user")  # so that an ordinary user may
    other = (*own, "--time", "--monotonic", str(ahead_s), "--fork", "--kill-child")
    outcome = farm((), other).drive(spread(profile, serve(answer).port, requests=200), 20)
    (far,) = [worker for worker in outcome.done["workers"] if not worker["same_clock"]]
    assert 0 < far["uncertainty_ns"] < 1_000_000_000
    assert abs(far["offset_ns"] - ahead_s * 10**9) <= far["uncertainty_ns"]
    assert far["requests"] == 100
    early = outcome.done["started_ns"] - far["uncertainty_ns"]
    late = outcome.done["ended_ns"] + far["uncertainty_ns"]
    starts = outcome.records["start_ns"]
    assert len(starts) == 200
    assert ((early <= starts) & (starts <= late)).all()


def test_a_worker_that_disappears_is_told_and_its_records_stay(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """The others go on to the end."""
    server, both = serve(answer), farm((), ())
    outcome = both.drive(spread(profile, server.port), 3, both.workers[0].kill)
    server.settle()
    lost, kept = sorted(outcome.done["workers"], key=lambda worker: not worker["lost"])
    assert (lost["lost"], kept["lost"]) == (True, False)
    assert 0 < lost["requests"] < kept["requests"]
    assert len(outcome.records) == lost["requests"] + kept["requests"] <= server.requests
    # The rest goes on alone in the next phase.
    assert len(both.drive(spread(profile, server.port, requests=50), 20).records) == 50


def test_master_refuses_load_that_workers_can_not_share(
    farm: Callable[..., Farm], profile: Callable[..., LoadProfile]
) -> None:
    """One user for two workers; the next phase is another matter."""
    both = farm((), ())
    with tempfile.TemporaryFile() as file:
        both.master.begin(profile(1, users=1), 1, file)
        said = both.master.channel.receive(PATIENCE_S)
    assert said == {"event": "failed", "why": "1 users are too few for 2 workers"}
    assert "refused" in both.drive(profile(1, requests=10), 20).errors


def test_a_defect_of_a_workers_user_is_told(
    farm: Callable[..., Farm], profile: Callable[..., LoadProfile], tmp_path: Any
) -> None:
    """A locustfile that can't be read, or whose users can't be made, ends the load with its reason."""
    (tmp_path / "wrong.py").write_text(
        "from locust import User, task\n"
        "class Wrong(User):\n"
        "    def __init__(self, environment):\n"
        "        raise RuntimeError('no such user')\n"
        "    @task\n"
        "    def ask(self): pass\n"
    )
    both = farm((), ())
    with tempfile.TemporaryFile() as file:
        both.master.begin(profile(1, locustfile=str(tmp_path / "wrong.py")), 5, file)
        while (said := both.master.channel.receive(PATIENCE_S))["event"] == "progress":
            pass
    assert said["event"] == "failed"
    assert "no such user" in said["why"]


def test_master_rejects_workers_beyond_those_awaited(
    farm: Callable[..., Farm], serve: Callable[[Any], Server], profile: Callable[..., LoadProfile]
) -> None:
    """Users would move to it in the middle of the load."""
    both, server = farm((), ()), serve(answer)
    late = both.start()
    assert late.wait(60) == 0
    outcome = both.drive(spread(profile, server.port, requests=50), 20)
    assert len(outcome.done["workers"]) == 2
    assert len(outcome.records) == 50


def test_workers_end_with_their_master(farm: Callable[..., Farm]) -> None:
    """Killed or not: those that the harness started have its channel to go by."""
    both = farm((), ())
    both.master.process.kill()
    for channel in both.channels:
        channel.close()
    end_s = time.monotonic() + PATIENCE_S
    for worker in both.workers:
        assert worker.wait(max(end_s - time.monotonic(), 0)) == 0
        assert not os.path.lexists(f"/proc/{worker.pid}")


class Stranger:
    """A process's end of Locust's own protocol, with or without a secret."""

    def __init__(self, port: int, secret: str | None) -> None:
        self.name = "stranger"
        self.seal = Seal(secret, "to master", "to worker") if secret else None
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IDENTITY, self.name.encode())
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def say(self, kind: str, data: Any) -> None:
        """Send a message."""
        # As locust.rpc does; importing it would have gevent replace the threads of this process.
        content = msgpack.dumps((kind, data, self.name))
        self.socket.send(self.seal.close(self.name, content) if self.seal else content)

    def hears(self) -> bytes | None:
        """Give the next answer; None where there is none."""
        return self.socket.recv() if self.socket.poll(5000) else None

    def close(self) -> None:
        """Leave, once everything is sent."""
        self.context.destroy()


@pytest.mark.parametrize("secret", [None, "another secret"])
def test_master_drops_what_a_stranger_says(
    farm: Callable[..., Farm],
    serve: Callable[[Any], Server],
    profile: Callable[..., LoadProfile],
    secret: str | None,
) -> None:
    """Invented records, with no seal or that of another run, count nowhere; their sender is named."""
    both, server = farm((), ()), serve(answer)
    invented = np.zeros(20_000, dtype()).tobytes()
    hello = {"version": "1", "machine": "m", "wire": True, "network": [], "clock": []}

    def intrude() -> None:
        stranger.say("client_ready", "2.0")
        stranger.say("hello", hello)
        stranger.say("records", {"data": invented, "identities": ["i0"], "cpu_ns": 0})

    with contextlib.closing(Stranger(both.port, secret)) as stranger:
        outcome = both.drive(spread(profile, server.port, requests=400), 20, intrude)
        assert stranger.hears() == b"refused"
        again = both.drive(spread(profile, server.port, requests=50), 20)
    server.settle()
    assert len(outcome.records) == 400
    assert server.requests == 450
    assert again.done["strangers"] == {"127.0.0.1": 3}
    assert len(again.done["workers"]) == 2


def test_worker_gives_up_when_its_secret_is_refused(farm: Callable[..., Farm]) -> None:
    """At once, and in a line that says what to do."""
    both = farm((), ())
    joined = subprocess.run(
        [
            *(HARNESS, "worker"),
            *("--join", f"127.0.0.1:{both.port}", "--secret", "0" * 32),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert joined.returncode == 2
    assert "does not know this secret" in joined.stderr
    assert "Traceback" not in joined.stderr


def test_master_cannot_name_a_file_of_another_machine(
    profile: Callable[..., LoadProfile], tmp_path: Path
) -> None:
    """A worker that has joined runs its own copy of the run's locustfile, or none."""
    own, other = tmp_path / "own.py", tmp_path / "other.py"
    own.write_text("from locust import FastHttpUser\nclass Own(FastHttpUser):\n    pass\n")
    other.write_text(own.read_text() + "# changed\n")
    for given, why in ((None, "--locustfile FILE"), (other, "is not the run's locustfile")):
        master = Farm([], awaited=1)
        words = [HARNESS, "worker", "--join", f"127.0.0.1:{master.port}"]
        words += ["--locustfile", str(given)] if given else []
        with subprocess.Popen(words, env=os.environ | {"SAMEPORT_SECRET": SECRET}) as worker:
            try:
                assert master.master.channel.receive(60)["event"] == "gathered"
                with tempfile.TemporaryFile() as file:
                    master.master.begin(profile(1, locustfile=str(own)), 5, file)
                    said = master.master.channel.receive(PATIENCE_S)
            finally:
                master.close()
                worker.kill()
        assert said["event"] == "failed"
        assert why in said["why"]

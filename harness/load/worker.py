"""A worker: users whose load a run's master divides among several (`harness.load.master`).

``python -m harness.load HOST:PORT FD`` is one that the harness started; over the channel FD comes the run's
secret, and then no more than that the harness is still there. ``harness worker --join HOST:PORT
--secret SECRET`` is one on another machine.

It is a worker of Locust: that says how many users there are and collects the statistics. Beside Locust's
own, there are these messages. From the master: ``clock``, ``phase`` (a profile), ``go``, ``end``; from the
worker: ``hello``, ``clock``, ``phase_ready``, ``records``, ``phase_done``, ``phase_failed``.
"""

from __future__ import annotations

import hashlib
import random
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

# Locust patches the standard library for gevent when it is imported, the channel's sockets too.
import gevent
import locust
from locust.env import Environment

from harness._version import __version__
from harness.common.channel import Channel, ChannelClosedError, Message
from harness.errors import LoadError
from harness.load.drive import PROGRESS_S, Drive, user_classes
from harness.load.process import leave, quieten
from harness.load.profile import LoadProfile
from harness.load.secured import secure_worker
from harness.load.shared import SharedRecords
from harness.load.wired import AVAILABLE
from harness.types import authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.runners import WorkerRunner

DEFAULT_PORT: Final = 5557
"""Locust's own."""


def about() -> Message:
    """Describe this process: its identity, clock and addresses."""
    return {
        "version": __version__,
        "machine": socket.gethostname(),
        "wire": AVAILABLE,
        "clock": [_boot_id(), str(Path("/proc/self/ns/time").readlink())],
        "network": [_boot_id(), str(Path("/proc/self/ns/net").readlink())],
    }


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Worker:
    """One worker, from its joining a run to the run's end.

    Parameters
    ----------
    host, port
        Where the master listens.
    secret
        That of the run.
    tell
        Told what happens, in words.
    locustfile
        The users of this machine for a run whose load is a locustfile's, empty for none; the run can name
        no other file. None for a worker that the run itself has started: it takes what the run names.

    Raises
    ------
    ConnectionError
        No master answered there for five minutes.
    LoadError
        The master does not know this secret.
    """

    def __init__(
        self, host: str, port: int, secret: str, tell: Callable[[str], None], locustfile: str | None
    ) -> None:
        self._tell = tell
        self._locustfile = locustfile
        secure_worker(secret)
        # A locustfile's own listeners are in Locust's global events.
        self._environment: Any = Environment(user_classes=[], events=locust.events)
        self._drive: Drive | None = None
        self._runner: WorkerRunner = self._environment.create_worker_runner(host, port)
        if self._runner.client.refused:
            raise LoadError(
                f"the run at {authority(host, port)} does not know this secret: each run has its own; "
                "copy the command that it prints while it waits"
            )
        for kind, listener in (
            ("clock", self._on_clock),
            ("phase", self._on_phase),
            ("go", self._on_go),
            ("end", self._on_end),
        ):
            self._runner.register_message(kind, listener)
        self._send("hello", about())

    def serve(self) -> None:
        """Do what the master says until it says no more."""
        self._runner.greenlet.join()

    def _send(self, kind: str, data: Message) -> None:
        self._runner.send_message(kind, data)

    def _on_clock(self, msg: Any, **_: object) -> None:
        self._send("clock", {"asked_ns": msg.data["asked_ns"], "shows_ns": time.monotonic_ns()})

    def _on_phase(self, msg: Any, **_: object) -> None:
        try:
            profile = LoadProfile.from_json(msg.data["profile"])
            profile = self._with_own_users(profile, msg.data["locustfile_digest"])
            self._records = SharedRecords()
            self._environment.user_classes = user_classes(profile)
            self._drive = Drive(profile, msg.data["duration_ns"], self._records.fileno())
        except Exception as error:  # noqa: BLE001  whatever it is, the run has to be told
            self._send("phase_failed", {"why": f"{type(error).__name__}: {error}"})
            return
        random.seed(profile.seed)
        self._send("phase_ready", {})

    def _with_own_users(self, profile: LoadProfile, digest: str) -> LoadProfile:
        """Put this machine's locustfile in the place of the run's, which has to be the same one.

        Raises
        ------
        LoadError
            There is none, or it is another one.
        """
        if self._locustfile is None or not profile.locustfile:
            return profile
        if not self._locustfile:
            raise LoadError(
                "the load is a locustfile's: start the worker with --locustfile FILE, a copy of it"
            )
        if digest_of(self._locustfile) != digest:
            raise LoadError(
                f"{self._locustfile} is not the run's locustfile: copy that to the worker's machine"
            )
        return replace(profile, locustfile=self._locustfile)

    def _on_go(self, **_: object) -> None:
        drive = self._drive
        if drive is None:
            return
        drive.phase.opened_ns = time.monotonic_ns()
        try:
            drive.attach(self._environment)
        except (Exception, SystemExit) as error:  # noqa: BLE001  as above
            self._send("phase_failed", {"why": str(error)})
            return
        # The message that brings the users has a time-out of its own, which is none.
        gevent.spawn(self._see_through, drive, self._environment.stop_timeout)

    def _on_end(self, **_: object) -> None:
        if self._drive is not None:
            self._drive.phase.stop()

    def _see_through(self, drive: Drive, stop_timeout_s: float) -> None:
        """Send a phase's records while it runs, and then what it came to."""
        phase, runner, environment = drive.phase, self._runner, self._environment
        stopping: Any = None
        try:
            while not (phase.over and not len(runner.user_greenlets)):
                self._send_records(drive)
                drive.check(runner)
                if stopping is None and phase.over and not phase.ends_itself:
                    environment.stop_timeout = stop_timeout_s
                    stopping = gevent.spawn(runner.stop)
                gevent.sleep(PROGRESS_S)
            self._send_records(drive)
            done = drive.end(environment)
        except Exception as error:  # noqa: BLE001  as above
            self._send("phase_failed", {"why": f"{type(error).__name__}: {error}"})
            return
        finally:
            environment.stop_timeout = 0.0
            phase.close()
        # Locust's statistics would follow within three seconds; the master has all of them with this.
        stats: Message = {}
        environment.events.report_to_master.fire(client_id=runner.client_id, data=stats)
        self._send("stats", stats)
        self._send("phase_done", done)
        self._tell(f"{drive.requests:,} requests, {drive.errors:,} of them failed")

    def _send_records(self, drive: Drive) -> None:
        blocks = drive.flush()
        self._records.drop(drive.requests)
        data = {"data": b"".join(blocks), "identities": drive.phase.identities, "cpu_ns": drive.cpu_ns}
        self._send("records", data)


def digest_of(locustfile: str | None) -> str:
    """Give what tells a file's content from any other; empty for no file."""
    return hashlib.sha256(Path(locustfile).read_bytes()).hexdigest() if locustfile else ""


def address_of(text: str) -> tuple[str, int]:
    """Read HOST:PORT, of which the port may be left out.

    Raises
    ------
    LoadError
        It is no such thing, or the host is unknown.
    """
    advice = "say HOST:PORT, as the run does that waits for workers"
    try:
        split = urlsplit(f"//{text}")
        host, port = split.hostname, split.port or DEFAULT_PORT
        if not host or split.netloc != text or split.username:
            raise LoadError(f"{text!r} is no address; {advice}")
        socket.getaddrinfo(host, port)
    except ValueError as error:
        raise LoadError(f"{text!r} is no address: {error}; {advice}") from error
    except OSError as error:
        raise LoadError(f"{text}: {error.strerror}; {advice}") from error
    return host, port


def join(address: str, secret: str, tell: Callable[[str], None], locustfile: str = "") -> None:
    """Be a worker of the run that listens at this address, until it ends.

    Parameters
    ----------
    address, secret
        As the run prints them.
    tell
        Told what happens, in words.
    locustfile
        The only file that the run may use as its users; empty for none.

    Raises
    ------
    LoadError
        The address is none, or no run of this secret answers there.
    """
    host, port = address_of(address)
    quieten()
    where = authority(host, port)
    tell(f"joining the run at {where}")
    try:
        worker = Worker(host, port, secret, tell, locustfile)
    except ConnectionError as error:
        raise LoadError(f"no run answers at {where}: is it waiting for workers there?") from error
    tell("joined")
    worker.serve()
    tell("the run has ended")


def main() -> NoReturn:
    """Run a worker that the harness started."""
    channel = Channel.inherited(int(sys.argv[2]))
    quieten()
    try:
        secret = channel.receive()["secret"]  # not an argument, which every user of the machine can read
    except ChannelClosedError:
        leave(0)
    gevent.spawn(_end_with, channel)
    host, _, port = sys.argv[1].rpartition(":")
    Worker(host.strip("[]"), int(port), secret, lambda _: None, None).serve()
    leave(0)


def _end_with(channel: Channel) -> None:
    try:
        channel.receive()
    except ChannelClosedError:
        leave(0)

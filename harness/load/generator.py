"""The load generator's process: ``python -m harness.load.generator FD``.

FD is the inherited descriptor of its end of a `harness.common.channel.Channel`. The parent says what to do,
the generator answers; every message has ``do`` (from the parent) or ``event`` (from the generator):

- ``ready`` once, when everything is imported.
- ``gather``, where others are to send the requests: listen at an address, answer ``listening`` with the
  port, and ``gathered`` when so many workers have joined; ``stranger`` meanwhile, with the address of a
  process that does not know the secret. See `harness.load.master`.
- ``drive`` with a profile, a duration, a phase's name and one descriptor: the records go there.
- ``progress`` four times a second while a phase runs, ``done`` at its end. One phase after another;
  each has its own users, connections and identities.
- ``stop`` ends the running phase early, ``quit`` the process; so does a channel that closes.
"""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from typing import Any, NoReturn, Protocol

# Locust patches the standard library for gevent when it is imported, the channel's sockets too.
import gevent
import gevent.queue
import locust
from locust.env import Environment
from locust.runners import STATE_STOPPED

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.errors import LoadError
from harness.load.drive import PROGRESS_S, AnyPhase, Drive, shape, user_classes
from harness.load.master import Master
from harness.load.process import leave, quieten
from harness.load.profile import LoadProfile
from harness.load.wired import AVAILABLE, WirePhase


class _Job(Protocol):
    """The request of the parent."""

    def run(self, channel: Channel) -> None:
        """Do it, and report."""

    def stop(self) -> None:
        """Come to an end early."""


class _LocalDrive:
    """One phase whose users are in this process.

    Parameters
    ----------
    message
        The parent's ``drive``.
    fd
        Where the records go; closed at the end.
    """

    def __init__(self, message: Message, fd: int) -> None:
        profile = LoadProfile.from_json(message["profile"])
        self._drive = Drive(profile, message["duration_ns"], fd)
        self._name: str = message["phase"]
        self._fd = fd

    def stop(self) -> None:
        """Let no further request begin."""
        self._drive.phase.stop()

    def run(self, channel: Channel) -> None:
        """Start the users, see them through, report."""
        drive, phase = self._drive, self._drive.phase
        random.seed(phase.profile.seed)
        # A locustfile's own listeners are in Locust's global events.
        environment: Any = Environment(user_classes=user_classes(phase.profile), events=locust.events)
        drive.attach(environment)
        runner = environment.create_local_runner()
        environment.shape_class = shape(phase.profile, runner)
        if environment.shape_class is not None:
            runner.start_shape()
        else:
            spawn_rate = phase.profile.spawn_rate_per_s or phase.locust_users
            runner.start(phase.locust_users, spawn_rate=spawn_rate)
        stopping: Any = None
        try:
            while not _all_have_ended(runner, phase):
                drive.flush()
                drive.check(runner)
                if stopping is None and phase.over and not phase.ends_itself:
                    stopping = gevent.spawn(runner.stop)
                channel.send(self._progress())
            drive.check(runner)
            done = drive.end(environment)
        finally:
            phase.close()
            os.close(self._fd)
            runner.quit()
        stats = environment.stats
        counted = {"num_requests": stats.num_requests, "num_failures": stats.num_failures}
        channel.send({"event": "done", "phase": self._name, **done, "locust": counted})

    def _progress(self) -> Message:
        return {
            "event": "progress",
            "elapsed_ns": time.monotonic_ns() - self._drive.phase.started_ns,
            "requests": self._drive.requests,
            "errors": self._drive.errors,
            "identities": self._drive.phase.identities,
        }


class _Generator:
    """Listens to the parent and does one job after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: Any = gevent.queue.Queue()
        self._latest: _Job | None = None
        self._master: Master | None = None

    def serve(self) -> NoReturn:
        """Do what the parent says until it says no more."""
        gevent.spawn(self._listen)
        versions = {"locust": locust.__version__, "gevent": gevent.__version__}
        self._channel.send({"event": "ready", "versions": versions, "wire": AVAILABLE})
        while True:
            self._jobs.get()(self._channel)

    def _listen(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                if message["do"] == "gather":
                    self._gather(message)
                elif message["do"] == "drive":
                    self._latest = self._job(message, self._channel.take_fd())
                    self._jobs.put(self._latest.run)
                elif message["do"] == "stop" and self._latest is not None:
                    self._latest.stop()
                elif message["do"] == "quit":
                    if self._master is not None:
                        self._master.dismiss()
                    leave(0)
        except ChannelClosedError:
            leave(0)
        except Exception:  # noqa: BLE001  whatever it is: a generator out of control must not live on
            traceback.print_exc()
            leave(1)

    def _gather(self, message: Message) -> None:
        try:
            master = self._master = Master(message["address"], message["port"], message["secret"])
        except LoadError as error:
            self._channel.send({"event": "failed", "why": str(error)})
        else:
            self._jobs.put(lambda channel: master.gather(channel, message["workers"]))

    def _job(self, message: Message, fd: int) -> _Job:
        return _LocalDrive(message, fd) if self._master is None else self._master.job(message, fd)


def _all_have_ended(runner: Any, phase: AnyPhase) -> bool:
    """Wait a moment for all users to have come, and then for all to have gone."""
    if isinstance(phase, WirePhase) and phase.profile.user_stages:  # a stage may have none
        return bool(phase.ended.wait(timeout=PROGRESS_S))
    if runner.environment.shape_class is not None:  # it may have none for a while, too
        gevent.sleep(PROGRESS_S)
        return bool(runner.state == STATE_STOPPED)
    runner.spawning_greenlet.join(timeout=PROGRESS_S)
    ended: bool = runner.spawning_greenlet.ready() and runner.user_greenlets.join(timeout=PROGRESS_S)
    return ended


def main() -> NoReturn:
    """Run the process that the module's docstring describes."""
    channel = Channel.inherited(int(sys.argv[1]))
    quieten()
    try:
        _Generator(channel).serve()
    except ChannelClosedError:
        leave(0)


if __name__ == "__main__":
    main()

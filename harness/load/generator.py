"""The load generator's process: ``python -m harness.load.generator FD``.

FD is the inherited descriptor of its end of a `harness.channel.Channel`. The parent says what to do,
the generator answers; every message has ``do`` (from the parent) or ``event`` (from the generator):

- ``ready`` once, when everything is imported.
- ``drive`` with a profile, a duration, a phase's name and one descriptor: the records go there.
- ``progress`` four times a second while a phase runs, ``done`` at its end. One phase after another;
  each has its own users, connections and identities.
- ``stop`` ends the running phase early, ``quit`` the process; so does a channel that closes.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

# Locust patches the standard library for gevent when it is imported, the channel's sockets too.
import gevent
import gevent.queue
import locust
import numpy as np
from locust.env import Environment

from harness.channel import Channel, ChannelClosedError, Message
from harness.load.clients import ClientPhase
from harness.load.feed import StatsFeed
from harness.load.profile import LoadProfile
from harness.load.records import ERRORS, NONE, as_array
from harness.load.user import Phase
from harness.load.wired import AVAILABLE, WirePhase

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRESS_S: Final = 0.25
_BREATH_S: Final = 0.001
_SPARE_FILES: Final = 64

_PHASES: Final[dict[str, type[Phase | WirePhase | ClientPhase]]] = {
    "wire": WirePhase,
    "gevent": Phase,
    "http": ClientPhase,
}


class _Drive:
    """One phase, from the message that asks for it to the message that reports it.

    Parameters
    ----------
    message
        The parent's ``drive``.
    fd
        Where the records go; closed at the end.
    """

    def __init__(self, message: Message, fd: int) -> None:
        profile = LoadProfile.from_json(message["profile"])
        make = ClientPhase if profile.locustfile else _PHASES[profile.user]
        self.phase: Phase | WirePhase | ClientPhase = make(profile, message["duration_ns"], fd)
        self._name: str = message["phase"]
        self._fd = fd
        self._requests = 0
        self._error_counts = np.zeros(len(ERRORS), np.int64)
        self._bug: BaseException | None = None

    def run(self, channel: Channel) -> None:
        """Start the users, see them through, report."""
        phase = self.phase
        _allow_files(phase.profile.users)
        random.seed(phase.profile.seed)
        # A locustfile's own listeners are in Locust's global events.
        environment: Any = Environment(user_classes=phase.user_classes, events=locust.events)
        environment.phase = phase
        phase.attach(environment)
        environment.events.user_error.add_listener(self._on_user_error)
        runner = environment.create_local_runner()
        if phase.profile.user_stages:
            environment.shape_class = _Stages(phase.profile.user_stages)
            runner.start_shape()
        else:
            spawn_rate = phase.profile.spawn_rate_per_s or phase.locust_users
            runner.start(phase.locust_users, spawn_rate=spawn_rate)
        stopping: Any = None
        feed = StatsFeed(environment.stats, phase.profile.path, time.time_ns() - time.monotonic_ns())
        try:
            while not _all_have_ended(runner, phase):
                self._flush(feed)
                if stopping is None and phase.over:
                    stopping = gevent.spawn(runner.stop)
                channel.send(self._progress())
            ended_ns, ended_cpu_ns = time.monotonic_ns(), time.process_time_ns()
            if self._bug is not None:
                raise self._bug
            self._flush(feed)
        finally:
            phase.close()
            os.close(self._fd)
            runner.quit()
        channel.send(self._report(ended_ns, ended_cpu_ns, environment.stats))

    def _on_user_error(self, exception: BaseException, **_: object) -> None:
        """Let a defect of the user end the process: Locust would log it and try again for ever."""
        self._bug = self._bug or exception
        self.phase.stop()

    def _flush(self, feed: StatsFeed) -> None:
        """Count what was recorded since the last time."""
        for block, body_bytes in self.phase.blocks():
            array = as_array(block)
            self._requests += len(array)
            self._error_counts += np.bincount(array["error"], minlength=len(ERRORS))
            if self.phase.feeds:
                feed.add(array, body_bytes)
            # Not 0: gevent runs what is due at once without looking at sockets in between.
            gevent.sleep(_BREATH_S)

    @property
    def _errors(self) -> int:
        return self._requests - int(self._error_counts[NONE])

    def _progress(self) -> Message:
        return {
            "event": "progress",
            "elapsed_ns": time.monotonic_ns() - self.phase.started_ns,
            "requests": self._requests,
            "errors": self._errors,
            "identities": self.phase.identities,
        }

    def _report(self, ended_ns: int, ended_cpu_ns: int, stats: Any) -> Message:
        phase = self.phase
        counts = {name: int(count) for name, count in zip(ERRORS, self._error_counts, strict=True)}
        return {
            "event": "done",
            "phase": self._name,
            "elapsed_ns": ended_ns - phase.started_ns,
            "started_ns": phase.started_ns,
            "ended_ns": ended_ns,
            "requests": self._requests,
            "errors": self._errors,
            "error_counts": {name: n for name, n in counts.items() if n and name != ERRORS[NONE]},
            "identities": phase.identities,
            "cpu_ns": ended_cpu_ns - phase.started_cpu_ns,
            "stopped_early": phase.stopped,
            **phase.report(),
            "locust": {"num_requests": stats.num_requests, "num_failures": stats.num_failures},
        }


class _Generator:
    """Listens to the parent and drives one phase after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._drives: Any = gevent.queue.Queue()
        self._latest: _Drive | None = None

    def serve(self) -> NoReturn:
        """Do what the parent says until it says no more."""
        gevent.spawn(self._listen)
        versions = {"locust": locust.__version__, "gevent": gevent.__version__}
        self._channel.send({"event": "ready", "versions": versions, "wire": AVAILABLE})
        while True:
            self._drives.get().run(self._channel)

    def _listen(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                if message["do"] == "drive":
                    self._latest = _Drive(message, self._channel.take_fd())
                    self._drives.put(self._latest)
                elif message["do"] == "stop" and self._latest is not None:
                    self._latest.phase.stop()
                elif message["do"] == "quit":
                    _leave(0)
        except ChannelClosedError:
            _leave(0)
        except Exception:  # noqa: BLE001  whatever it is: a generator that nobody can stop must not live on
            traceback.print_exc()
            _leave(1)


class _Stages(locust.LoadTestShape):  # type: ignore[misc]  # Locust carries no types
    """Numbers of users, one after the other; Locust asks for them once a second."""

    def __init__(self, stages: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self._stages = stages

    def tick(self) -> tuple[int, float]:
        """Give the users that there are to be now, all at once."""
        passed_ns = self.get_run_time() * 1e9
        for users, lasts_ns in self._stages:
            passed_ns -= lasts_ns
            if passed_ns < 0:
                return users, max(users, 1000)
        return self._stages[-1][0], 1000


def _all_have_ended(runner: Any, phase: Phase | WirePhase | ClientPhase) -> bool:
    """Wait a moment for all users to have come, and then for all to have gone."""
    if isinstance(phase, WirePhase) and phase.profile.user_stages:  # a stage may have none
        return bool(phase.ended.wait(timeout=_PROGRESS_S))
    runner.spawning_greenlet.join(timeout=_PROGRESS_S)
    ended: bool = runner.spawning_greenlet.ready() and runner.user_greenlets.join(timeout=_PROGRESS_S)
    return ended


def _leave(status: int) -> NoReturn:
    """End the process at once, users in the middle of their requests and all."""
    sys.stderr.flush()
    os._exit(status)


def _allow_files(users: int) -> None:
    """Raise the limit of open files to what these users need.

    A user without a descriptor would be recorded as a failure of the endpoint.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = users + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        sys.exit(f"{users} users need {needed} open files, and the limit is {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _quieten() -> None:
    """Keep pauses and chatter out of the measurement."""
    # Ctrl-C reaches the whole process group; what then happens to a run is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard error is shown when the process dies; Locust's advice about spawn rates and CPU is not why.
    logging.basicConfig(level=logging.ERROR)
    # Locust's 200,000 objects live as long as the process: looking through them takes 50 ms, in the
    # middle of somebody's request. A request itself leaves no cycles, so collecting can be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def main() -> NoReturn:
    """Run the process that the module's docstring describes."""
    channel = Channel.inherited(int(sys.argv[1]))
    _quieten()
    try:
        _Generator(channel).serve()
    except ChannelClosedError:
        _leave(0)


if __name__ == "__main__":
    main()

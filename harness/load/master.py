"""The master: it has others send the requests, and merges what they record.

Locust's master runner says how many users each worker has, watches their heartbeats and adds up their
statistics. Beside that, each worker gets its share of the load (`harness.load.sharing`), and sends its
records four times a second. Merged, they are as if one generator had written them: times are on the
master's clock, numbers of connections, sources and instances are those of the whole load.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import gevent
import locust
import numpy as np
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner

from harness._version import __version__
from harness.errors import LoadError
from harness.load.drive import PROGRESS_S, shape, user_classes
from harness.load.profile import LoadProfile
from harness.load.secured import secure_master
from harness.load.sharing import Offset, drifted, offset_of, shares
from harness.load.worker import about, digest_of
from harness.recording.layout import ERRORS, NO_INSTANCE, NONE, as_array, failed_statuses
from harness.types import authority

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.common.channel import Channel, Message
    from harness.load.sharing import Share

_ANSWER_S: Final = 30.0
_EXCHANGES: Final = 16
_DISMISS_MS: Final = 1000
_SAME: Final = Offset(0, 0)


class WorkersFailedError(Exception):
    """Workers can't do what is asked for; the message is for the user."""


@dataclass
class _Worker:
    """A worker as the master knows it, and what it does in the phase that runs."""

    number: int
    machine: str
    wire: bool
    near: bool
    same_clock: bool
    clock: Offset = _SAME
    lost: bool = False
    share: Share | None = None
    requests: int = 0
    cpu_ns: int = 0
    places: list[int] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)


class _Runner(MasterRunner):  # type: ignore[misc]  # Locust carries no types
    """Locust's master, which rejects workers beyond those awaited: they would change the load."""

    complete = False

    def handle_message(self, client_id: str, msg: Any) -> None:
        """Handle a message as Locust does, unless it is of a stranger."""
        if self.complete and client_id not in self.worker_indexes:
            # Its runner understands an end only after its beginning.
            answers = {"client_ready": ("ack", {"index": -1}), "hello": ("quit", None)}
            if msg.type in answers:
                self.send_message(*answers[msg.type], client_id=client_id)
            return
        super().handle_message(client_id, msg)


class Master:
    """Locust's master, and the workers that have joined.

    Parameters
    ----------
    address, port
        Where to listen; port 0 is any that is free.
    secret
        What workers prove to know with every message.

    Attributes
    ----------
    strangers
        The addresses of processes that did not, and how many messages of each were dropped.

    Raises
    ------
    LoadError
        That can't be listened at.
    """

    def __init__(self, address: str, port: int, secret: str) -> None:
        self.strangers = secure_master(secret)
        self.environment: Any = Environment(user_classes=[], events=locust.events)
        try:
            self.runner = _Runner(self.environment, address, port)
        except (RPCError, SystemExit) as error:  # the latter where the port is taken
            where = authority(address, port)
            raise LoadError(
                f"workers can't be awaited at {where}: it is taken, or no address of the load's "
                "side (0.0.0.0 stands for all of these)"
            ) from error
        self.environment.runner = self.runner
        self.workers: dict[str, _Worker] = {}
        self.current: MasterDrive | None = None
        self._about = about()
        for kind, listener in (
            ("hello", self._on_hello),
            ("clock", self._on_answer),
            ("phase_ready", self._on_answer),
            ("phase_failed", self._on_answer),
            ("phase_done", self._on_answer),
            ("records", self._on_records),
        ):
            self.runner.register_message(kind, listener)

    def gather(self, channel: Channel, number: int) -> None:
        """Say where to join, and wait until so many workers have."""
        channel.send({"event": "listening", "port": self.runner.server.port})
        said = 0
        while len(self.workers) < number:
            for address in list(self.strangers)[said:]:
                channel.send({"event": "stranger", "address": address})
                said += 1
            gevent.sleep(0.01)
        self.runner.complete = True
        others = {version for worker in self.workers.values() if (version := worker.answers["version"])}
        if others - {__version__}:
            channel.send({"event": "failed", "why": f"workers have versions {sorted(others)} of the harness"})
            return
        channel.send({"event": "gathered", "wire": all(worker.wire for worker in self.workers.values())})

    def job(self, message: Message, fd: int) -> MasterDrive:
        """Give the phase that the parent requests."""
        self.current = MasterDrive(self, message, fd)
        return self.current

    def dismiss(self) -> None:
        """Tell the workers that the run has ended, and see that they hear it."""
        self.runner.send_message("quit")
        context = self.runner.server.socket.context
        self.runner.server.close(linger=_DISMISS_MS)
        context.term()

    def ask(self, client_id: str, kind: str, data: Message, answer: str) -> Any:
        """Send a worker a message and wait for its answer of this kind.

        Raises
        ------
        WorkersFailedError
            It has gone, or says that it can't.
        """
        worker = self.workers[client_id]
        worker.answers.pop(answer, None)
        self.runner.send_message(kind, data, client_id=client_id)
        end_s = time.monotonic() + _ANSWER_S
        while answer not in worker.answers:
            if "phase_failed" in worker.answers:
                raise WorkersFailedError(f"worker {worker.number}: {worker.answers['phase_failed']['why']}")
            if worker.lost or self.is_gone(client_id) or time.monotonic() > end_s:
                raise WorkersFailedError(f"worker {worker.number} on {worker.machine} does not answer")
            gevent.sleep(0.0005)
        return worker.answers[answer]

    def clock(self, client_id: str) -> Offset:
        """Compare a worker's clock with this one."""
        if self.workers[client_id].same_clock:
            return _SAME
        exchanges = []
        for _ in range(_EXCHANGES):
            answer = self.ask(client_id, "clock", {"asked_ns": time.monotonic_ns()}, "clock")
            exchanges.append((answer["asked_ns"], answer["shows_ns"], answer["came_ns"]))
        return offset_of(exchanges)

    def is_gone(self, client_id: str) -> bool:
        """Whether Locust has not heard of a worker for a while."""
        node = self.runner.clients.get(client_id)
        return node is None or node.state == "missing"

    def _on_hello(self, msg: Any, **_: object) -> None:
        said = msg.data
        self.workers[msg.node_id] = _Worker(
            number=len(self.workers) + 1,
            machine=said["machine"],
            wire=said["wire"],
            near=said["network"] == self._about["network"],
            same_clock=said["clock"] == self._about["clock"],
            answers={"version": said["version"]},
        )

    def _on_answer(self, msg: Any, **_: object) -> None:
        if (worker := self.workers.get(msg.node_id)) is not None:
            worker.answers[msg.type] = {**(msg.data or {}), "came_ns": time.monotonic_ns()}

    def _on_records(self, msg: Any, **_: object) -> None:
        worker = self.workers.get(msg.node_id)
        if self.current is not None and worker is not None and not worker.lost:
            self.current.merge(worker, msg.data)


class MasterDrive:
    """One phase whose users are with the workers.

    Parameters
    ----------
    master
        The master that has them.
    message
        The parent's ``drive``.
    fd
        Where the merged records go; closed at the end.
    """

    def __init__(self, master: Master, message: Message, fd: int) -> None:
        self._master = master
        self._profile = LoadProfile.from_json(message["profile"])
        self._duration_ns: int = message["duration_ns"]
        self._name: str = message["phase"]
        self._fd = fd
        self._identities: dict[str, int] = {}
        self._requests = 0
        self._error_counts = np.zeros(len(ERRORS), np.int64)
        self._statuses: Counter[int] = Counter()
        self._stopped = False
        self._started_ns = 0
        self._starting = gevent.Greenlet()

    def stop(self) -> None:
        """Let no further request begin."""
        self._stopped = True
        self._master.runner.send_message("end")

    def run(self, channel: Channel) -> None:
        """Have the workers start, see them through, report."""
        try:
            self._prepare()
            self._go()
            while not all(self._has_ended(client_id) for client_id in self._master.workers):
                gevent.sleep(PROGRESS_S)
                channel.send({"event": "progress", **self._said()})
            channel.send(self._report())
        except WorkersFailedError as error:
            channel.send({"event": "failed", "why": str(error)})
        finally:
            os.close(self._fd)

    def _prepare(self) -> None:
        """Give each worker its share, and compare clocks."""
        master = self._master
        workers = self._living()
        self._await_ready(workers)
        try:
            all_shares = shares(self._profile, [worker.near for worker in workers.values()])
        except ValueError as error:
            raise WorkersFailedError(str(error)) from error
        for (client_id, worker), share in zip(workers.items(), all_shares, strict=True):
            worker.share, worker.requests, worker.cpu_ns, worker.places = share, 0, 0, []
            worker.answers.clear()
            data = {
                "profile": share.profile.to_json(),
                "duration_ns": self._duration_ns,
                "locustfile_digest": digest_of(self._profile.locustfile),
            }
            master.ask(client_id, "phase", data, "phase_ready")
            worker.clock = master.clock(client_id)

    def _await_ready(self, workers: dict[str, _Worker]) -> None:
        """Wait until Locust, too, holds the workers to be ready after a phase before this one."""
        runner = self._master.runner
        end_s = time.monotonic() + _ANSWER_S
        while len(runner.clients.ready) < len(workers) or runner.state in {"running", "spawning", "stopping"}:
            if time.monotonic() > end_s:
                raise WorkersFailedError("the workers did not get ready again after the phase before")
            runner.check_stopped()
            gevent.sleep(0.005)

    def _go(self) -> None:
        master, profile = self._master, self._profile
        master.environment.user_classes = user_classes(profile)
        master.environment.host = f"http://{profile.authority()}"  # Locust tells its workers
        self._started_ns = time.monotonic_ns()
        self._cpu_began_ns = time.process_time_ns()
        master.runner.send_message("go")
        if self._stopped:
            master.runner.send_message("end")
        master.environment.shape_class = shape(profile, master.runner)
        if master.environment.shape_class is not None:
            master.runner.start_shape()
        else:
            users = len(self._living()) if profile.stages else profile.users
            self._starting = gevent.spawn(master.runner.start, users, profile.spawn_rate_per_s or users)

    def _living(self) -> dict[str, _Worker]:
        return {client_id: worker for client_id, worker in self._master.workers.items() if not worker.lost}

    def _has_ended(self, client_id: str) -> bool:
        worker = self._master.workers[client_id]
        if "phase_failed" in worker.answers:
            raise WorkersFailedError(f"worker {worker.number}: {worker.answers['phase_failed']['why']}")
        if "phase_done" not in worker.answers and not worker.lost and self._master.is_gone(client_id):
            worker.lost = True
            # Should it come back: Locust would give it users again.
            self._master.runner.clients.pop(client_id, None)
        return worker.lost or "phase_done" in worker.answers

    def merge(self, worker: _Worker, data: Message) -> None:
        """Take a worker's records into the whole."""
        rows = as_array(bytearray(data["data"]))
        worker.places += [
            self._identities.setdefault(name, len(self._identities))
            for name in data["identities"][len(worker.places) :]
        ]
        worker.cpu_ns = data["cpu_ns"]
        if not len(rows) or worker.share is None:
            return
        worker.requests += len(rows)
        rows["start_ns"] -= worker.clock.offset_ns
        rows["intended_start_ns"] -= worker.clock.offset_ns
        rows["connection"] = rows["connection"] * len(self._master.workers) + worker.number - 1
        rows["source"] = np.array(worker.share.sources, np.uint16)[rows["source"]]
        identified = rows["instance"] != NO_INSTANCE
        rows["instance"][identified] = np.array(worker.places, np.uint32)[rows["instance"][identified]]
        self._requests += len(rows)
        self._error_counts += np.bincount(rows["error"], minlength=len(ERRORS))
        self._statuses.update(failed_statuses(rows))
        view = memoryview(rows.tobytes())
        while view:
            view = view[os.write(self._fd, view) :]

    def _said(self) -> Message:
        return {
            "elapsed_ns": time.monotonic_ns() - self._started_ns,
            "requests": self._requests,
            "errors": self._requests - int(self._error_counts[NONE]),
            "identities": list(self._identities),
        }

    def _report(self) -> Message:
        ended_ns, own_cpu_ns = time.monotonic_ns(), time.process_time_ns() - self._cpu_began_ns
        master = self._master
        rows = [self._one(client_id, worker) for client_id, worker in master.workers.items()]
        done = [worker.answers["phase_done"] for worker in master.workers.values() if not worker.lost]
        stats = master.environment.stats
        counts = {name: int(count) for name, count in zip(ERRORS, self._error_counts, strict=True)}
        report = {
            "event": "done",
            "phase": self._name,
            **self._said(),
            "elapsed_ns": max((one["elapsed_ns"] for one in done), default=ended_ns - self._started_ns),
            "started_ns": self._started_ns,
            "ended_ns": ended_ns,
            "error_counts": {name: n for name, n in counts.items() if n and name != ERRORS[NONE]},
            "statuses": sorted(self._statuses.items()),
            "cpu_ns": own_cpu_ns + sum(worker.cpu_ns for worker in master.workers.values()),
            "stopped_early": self._stopped,
            "user": next((one["user"] for one in done), self._profile.user),
            "odd_answer": next((one["odd_answer"] for one in done if one["odd_answer"]), None),
            **{key: sum(one[key] for one in done) for key in ("connections", "resent", "unsent")},
            **{key: _added(one[key] for one in done) for key in ("rejections", "raised")},
            "locust": {"num_requests": stats.num_requests, "num_failures": stats.num_failures},
            "workers": rows,
            "strangers": dict(master.strangers),
        }
        gevent.spawn(self._finish)
        return report

    def _finish(self) -> None:
        # A start that is not over yet would bring Locust back to running.
        if self._starting:
            self._starting.join()
        self._master.runner.stop()

    def _one(self, client_id: str, worker: _Worker) -> Message:
        """Say what one worker did; clocks are compared again."""
        clock = worker.clock
        # Gone by now, it has sent everything nevertheless.
        with contextlib.suppress(WorkersFailedError):
            clock = drifted(clock, self._master.clock(client_id))
        return {
            "number": worker.number,
            "machine": worker.machine,
            "requests": worker.requests,
            "cpu_ns": worker.cpu_ns,
            "same_clock": worker.same_clock,
            "offset_ns": clock.offset_ns,
            "uncertainty_ns": clock.uncertainty_ns,
            "lost": worker.lost,
        }


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)

"""The harness's side of the load generator: start it, drive a phase, take what it recorded."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.common.channel import ChannelClosedError, Message
from harness.common.signals import deferred
from harness.errors import LoadError
from harness.load.profile import Asked, LoadProfile
from harness.load.shared import SharedRecords
from harness.types import authority

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from harness.hosts.base import ClientHost, Host
    from harness.scenario import Scenario
    from harness.scenario.load import Load
    from harness.types import Side, User

OnProgress: TypeAlias = "Callable[[Message, npt.NDArray[Any]], None]"
"""Told of a phase's progress or end, and given the new records (`harness.recording.layout.dtype()`)."""

_READY_DEADLINE_S = 60
_APART_DEADLINE_S = 600  # to get ready on an emulated machine
_QUIT_DEADLINE_S = 5
_MOST_SHOWN = 3
_SILENCE_S = 30  # the generator reports four times a second
_AFTER_END_S = 30  # what a load may last beyond its duration and the time limit of its last requests
_STOPPED_SILENCE_S = 5  # when the user has asked to end


@dataclass(frozen=True)
class Workers:
    """The workers that send the requests, where one process does not suffice.

    Attributes
    ----------
    own
        How many workers are started on the client side.
    others
        How many join from elsewhere.
    address, port
        Where the master listens for them, on the client side; port 0 is any that is free.
    secret
        What they prove to know with every message; each run has its own.
    """

    own: int = 0
    others: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    secret: str = field(default_factory=partial(token_hex, 16), repr=False)

    @property
    def number(self) -> int:
        """How many there are."""
        return self.own + self.others


NO_WORKERS = Workers()
"""One process sends everything."""


@dataclass(frozen=True)
class PhaseResult:
    """One phase of load that has ended.

    Attributes
    ----------
    identities
        What the records' instance numbers stand for.
    requests, errors, error_counts
        All requests, those that failed, and those by class.
    statuses
        How many answers failed by each status.
    wall_ns, cpu_ns
        How long it took, and the processor time that the generator used meanwhile.
    user
        What sent the requests: `wire`, `gevent`, `http` or `locustfile`.
    unsent
        Arrivals of an open loop that were due, but found no free connection before the end.
    odd_answer
        The beginning of the first answer that named no instance or was not HTTP; None if all did.
    strangers
        The addresses from which processes without the run's secret spoke to the workers' port, and how
        many messages of each were dropped.
    workers
        What each worker did, as `harness.load.master` reports it; none where one process did all.
    resent
        Requests that the client sent again by itself, because the server had closed the connection.
    rejections, raised
        A locustfile's words for the answers that it called failures, and what its tasks raised, with
        how often.
    """

    identities: tuple[str, ...]
    requests: int
    errors: int
    error_counts: dict[str, int]
    wall_ns: int
    cpu_ns: int
    odd_answer: str | None
    user: User = "wire"
    unsent: int = 0
    workers: tuple[Message, ...] = ()
    strangers: tuple[tuple[str, int], ...] = ()
    resent: int = 0
    rejections: dict[str, int] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    statuses: tuple[tuple[int, int], ...] = ()


class Driver:
    """A load generator on the client side of a host.

    Parameters
    ----------
    host
        Where the load comes from; the generator starts at once and gets ready by itself.

    Attributes
    ----------
    wire
        Whether the generator has the compiled data plane.
    """

    def __init__(self, host: ClientHost) -> None:
        self._host = host
        # It shares memory with the harness. On a machine apart, clients are workers that send their records.
        side: Side = "here" if host.apart else "client"
        self._program = host.spawn([sys.executable, "-m", "harness.load"], side, "generator")
        self.versions: dict[str, str] = {}
        self.wire = False
        self._silence_s = float(_SILENCE_S)
        self._latest_ns = 0
        self._recorded = SharedRecords()
        self._on_progress: OnProgress = lambda _message, _rows: None
        self._driven: PhaseResult | None = None

    def wait_ready(self) -> None:
        """Wait until the generator has imported what it needs.

        Raises
        ------
        LoadError
            It ended, or took longer than a minute.
        """
        ready = self._receive(_READY_DEADLINE_S)
        self.versions, self.wire = ready["versions"], ready["wire"]

    def gather(self, workers: Workers, tell: Callable[[str], None]) -> None:
        """Have others send the requests: start the own ones, and wait until all have joined.

        Parameters
        ----------
        workers
            Those that are to join, and where.
        tell
            Told of each process that speaks to their port without the secret.

        Raises
        ------
        LoadError
            The master can't listen there, or the own workers did not come within a minute.
        """
        asked = {"address": workers.address, "port": workers.port, "secret": workers.secret}
        self._send({"do": "gather", **asked, "workers": workers.number})
        port = self._receive(_READY_DEADLINE_S)["port"]
        if workers.own and self._host.apart:
            self._host.let_in(port)
        for _ in range(workers.own):
            argv = [sys.executable, "-m", "harness.load", authority("127.0.0.1", port)]
            own = self._host.spawn(argv, "client", "generator")
            own.channel.send({"secret": workers.secret})
        patience_s = _APART_DEADLINE_S if self._host.apart else _READY_DEADLINE_S
        while (said := self._receive(None if workers.others else patience_s))["event"] == "stranger":
            tell(f"turned away {said['address']}, which does not know the secret of this run")
        self.wire = said["wire"]

    def drive(
        self,
        phase: str,
        profile: LoadProfile,
        duration_ns: int,
        on_progress: OnProgress,
    ) -> PhaseResult:
        """Drive one phase to its end.

        Parameters
        ----------
        phase
            ``warm_up`` or ``load``.
        profile, duration_ns
            What to drive, and for how long.
        on_progress
            Told of the progress, about four times a second, and of the end: elapsed_ns, requests, errors,
            identities. It may end the phase with `end`.

        Raises
        ------
        LoadError
            The generator ended or fell silent.
        KeyboardInterrupt
            Ctrl-C; the phase still runs, `stop` ends it and gives what it recorded.
        """
        self._recorded, self._on_progress, self._driven = SharedRecords(), on_progress, None
        self._silence_s = _SILENCE_S + profile.timeout_ns / 1e9
        self._latest_ns = duration_ns + profile.timeout_ns + _AFTER_END_S * 1_000_000_000
        self._send(
            {"do": "drive", "phase": phase, "profile": profile.to_json(), "duration_ns": duration_ns},
            (self._recorded.fileno(),),
        )
        return self._until_done()

    def end(self) -> None:
        """Let no further request of the running phase begin; those under way are finished."""
        self._send({"do": "stop"})

    def stop(self) -> PhaseResult:
        """End the running phase early, and give what it came to."""
        self._silence_s -= _SILENCE_S - _STOPPED_SILENCE_S
        self.end()
        return self._until_done()

    def quit(self) -> None:
        """End the generator, and have it tell the workers on other machines that the run is over."""
        self._send({"do": "quit"})
        with contextlib.suppress(ChannelClosedError, TimeoutError):
            while True:
                self._program.channel.receive(_QUIT_DEADLINE_S)

    def _until_done(self) -> PhaseResult:
        while self._driven is None:
            message = self._receive(self._silence_s)
            # Cut off in between, records would be neither here nor there any more.
            with deferred() as asked_to_end:
                self._on_progress(message, self._recorded.take(message["requests"]))
                if message["event"] == "done":
                    self._driven = _driven(message)
            asked_to_end.heed()
            if self._driven is None and message["elapsed_ns"] > self._latest_ns:
                raise LoadError(
                    f"the load was to end {_AFTER_END_S} s ago, and its users go on: "
                    "the load generator was ended"
                )
        return self._driven

    def _send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        try:
            self._program.channel.send(message, fds)
        except ChannelClosedError as error:
            raise self._gone() from error

    def _receive(self, patience_s: float | None) -> Message:
        try:
            message = self._program.channel.receive(patience_s)
        except ChannelClosedError as error:
            raise self._gone() from error
        except TimeoutError as error:
            raise LoadError(f"the load generator has said nothing for {patience_s:.0f} s") from error
        if message["event"] == "failed":
            raise LoadError(message["why"])
        return message

    def _gone(self) -> LoadError:
        return LoadError(f"the load generator has gone: {self._program.stderr_tail() or 'it was killed'}")


def _driven(done: Message) -> PhaseResult:
    return PhaseResult(
        identities=tuple(done["identities"]),
        requests=done["requests"],
        errors=done["errors"],
        error_counts=done["error_counts"],
        wall_ns=done["elapsed_ns"],
        cpu_ns=done["cpu_ns"],
        odd_answer=done["odd_answer"],
        user=done["user"],
        unsent=done["unsent"],
        workers=tuple(done.get("workers", ())),
        strangers=tuple(done.get("strangers", {}).items()),
        resent=done["resent"],
        rejections=done["rejections"],
        raised=done["raised"],
        statuses=tuple((status, count) for status, count in done["statuses"]),
    )


def profile_for(scenario: Scenario, host: Host, *, wire: bool = True) -> LoadProfile:
    """Put together what the generator needs to know.

    Parameters
    ----------
    scenario, host
        The requests, and the host that they go to.
    wire
        Whether the compiled data plane is there; without it, users of plain Python take its place.

    Raises
    ------
    LoadError
        Only the compiled data plane could do what the scenario requires.
    """
    if scenario.load.model == "open" and not wire:
        raise LoadError(
            "an open loop needs the compiled data plane, which is built where the harness is installed: "
            "install a C compiler and Python's headers (python3-dev), then the harness again "
            "(in a clone: make run)"
        )
    load, identity = scenario.load, scenario.application.identity
    each = {"per-request": 1, "keep-alive": None}
    return LoadProfile(
        address=host.address,
        port=scenario.port,
        path=load.path,
        headers=dict(load.headers),
        users=load.most_users,
        requests_per_connection=load.connections
        if isinstance(load.connections, int)
        else each[load.connections],
        timeout_ns=load.timeout_ns,
        identity_header=identity.header,
        identity_body=identity.body,
        sources=host.sources,
        seed=scenario.seed,
        requests=load.requests,
        user="gevent" if load.user == "wire" and not wire else load.user,
        locustfile=load.locustfile,
        stages=_stages(load),
        user_stages=_user_stages(load),
        spawn_rate_per_s=load.spawn_rate_per_s,
        poisson=load.arrivals == "poisson",
        reset=load.close == "reset",
        method=load.method,
        body=load.body or "",
        think_ns=load.think_time_ns,
        routes=tuple(
            Asked(route.path or load.path, route.host or "", route.weight)
            for route in scenario.routes.values()
        ),
    )


def _stages(load: Load) -> tuple[tuple[float, int], ...]:
    if load.model == "closed":
        return ()
    if load.rate_per_s is not None:
        return ((load.rate_per_s, load.duration_ns),)
    return tuple((stage.rate_per_s or 0.0, stage.for_ns) for stage in load.stages or ())


def _user_stages(load: Load) -> tuple[tuple[int, int], ...]:
    if load.model == "open":
        return ()
    return tuple((stage.users or 0, stage.for_ns) for stage in load.stages or ())


def worded(counts: dict[str, int]) -> str:
    """Give words with how often they came, the most frequent first; of many, the first three."""
    order = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{count:,} times {words!r}" for words, count in order[:_MOST_SHOWN])
    return shown + (f" and {len(order) - _MOST_SHOWN:,} other words" if len(order) > _MOST_SHOWN else "")


def raise_if_unanswered(driven: PhaseResult, profile: LoadProfile) -> None:
    """Refuse to go on with load that reaches no instance.

    Raises
    ------
    LoadError
        Not one request was answered by an instance that can be named.
    """
    if driven.errors < driven.requests or not driven.requests:
        return
    counts = ", ".join(
        [
            f"{count:,} {kind.replace('_', ' ')}"
            for kind, count in driven.error_counts.items()
            if kind != "status"
        ]
        + [f"{status} \u00d7 {count:,}" for status, count in driven.statuses]
    )
    if driven.statuses and not driven.identities:
        counts += ", none of which names an instance: is it the proxy's, as application.health may be wrong?"
    endpoint = profile.authority()
    if "unidentified" in driven.error_counts:
        where = (
            f"header {profile.identity_header}"
            if profile.identity_header
            else f"body, matching {profile.identity_body}"
        )
        raise LoadError(
            f"no answer of {endpoint} names its instance (application.identity: {where}); "
            f"the first began: {driven.odd_answer!r}"
        )
    if driven.rejections:
        raise LoadError(
            f"the locustfile called every answer a failure, {counts}: {worded(driven.rejections)}"
        )
    what = "every answer was an error" if "status" in driven.error_counts else "no answer"
    raise LoadError(f"{what} at {endpoint}{profile.path}: {driven.requests:,} requests, {counts}")

"""Warm up and drive: load on the endpoint, while faults are injected and membership is kept up to date."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import LoadError
from harness.faults.injector import FaultInjector, Watcher
from harness.faults.membership import Membership
from harness.load.driver import profile_for, raise_if_unanswered, worded
from harness.recording.identities import own_names
from harness.runner.counters import Counters
from harness.runner.progress import Kept, on_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.analysis.early_stop import EarlyStop, InterimLook
    from harness.analysis.routes import RoutedEarlyStop
    from harness.faults.events import FaultEvent
    from harness.load.driver import Driver, OnProgress, PhaseResult
    from harness.load.profile import LoadProfile
    from harness.recording.spool import Spool
    from harness.results.folder import PendingResult
    from harness.runner.expose import Exposed
    from harness.runner.phases import Phases
    from harness.runner.provision import Provisioned
    from harness.scenario import Scenario


_EARLY_NS = 300_000_000  # generators look four times a second


@dataclass(frozen=True)
class Driven:
    """Load that has ended.

    Attributes
    ----------
    exposed
        What was driven.
    load
        What the generator says of it.
    spool
        Its records.
    counters
        What others counted before it, to be compared with what they have counted since.
    events
        The faults that were applied meanwhile.
    members_changed
        Whether the strategy's members were changed meanwhile.
    looks
        The looks at the counts that could have ended the load, as `Observed` has them.
    interrupted
        Whether Ctrl-C ended it.
    warnings
        What spoils it, one sentence each.
    """

    exposed: Exposed
    load: PhaseResult
    spool: Spool
    counters: Counters
    events: tuple[FaultEvent, ...]
    members_changed: bool
    looks: Sequence[Sequence[InterimLook]] | None
    interrupted: bool
    warnings: tuple[str, ...]


def warm_up(exposed: Exposed, phases: Phases) -> LoadProfile:
    """Drive load that is not recorded; give the profile of the load to come.

    Raises
    ------
    LoadError
        No instance answers, or more identities than there are instances do.
    """
    lab = exposed.lab
    profile = profile_for(lab.scenario, lab.host, wire=lab.driver.wire)
    duration_ns = lab.scenario.load.warm_up_ns
    with phases("warm_up", "warm-up"):
        if duration_ns:
            # An open loop warms up at its first rate.
            stages = tuple((rate, duration_ns) for rate, _ in profile.stages[:1])
            unbounded = replace(profile, requests=None, stages=stages, user_stages=())
            show = on_progress(phases.progress, lab.driver, duration_ns)
            warmed = lab.driver.drive("warm_up", unbounded, duration_ns, show)
            raise_if_unanswered(warmed, profile)
            _require_no_more_names(lab.scenario, warmed.identities)
        exposed.analysis.result()  # raises what could not be imported
    return profile


def _require_no_more_names(scenario: Scenario, identities: Sequence[str]) -> None:
    """Refuse to go on where more identities than instances answer, before there is a load to be lost."""
    instances = scenario.all_instances()
    if not set(identities) <= set(instances):
        own_names(identities, len(instances))


def drive(exposed: Exposed, profile: LoadProfile, pending: PendingResult, phases: Phases) -> Driven:
    """Drive the measured load to its end, and inject the scenario's faults meanwhile.

    Parameters
    ----------
    exposed, profile
        What to drive, and how.
    pending
        The result, whose folder takes the records.
    phases
        Shows and times what is done.

    Raises
    ------
    HarnessError
        No instance answers, the generator ends, or a fault can't be applied.
    KeyboardInterrupt
        Ctrl-C before there was a request.
    """
    lab, scenario = exposed.lab, exposed.lab.scenario
    counters = Counters(exposed.stage, lab.engine, lab.strategy, exposed.endpoint, lab.members)
    early_stop = _early_stop(lab)
    spool = pending.begin(scenario)
    membership = Membership(lab.members, exposed.update)
    injector = FaultInjector(scenario.script(), lab.engine, membership)
    take = on_progress(phases.progress, lab.driver, scenario.load.duration_ns, Kept(spool, early_stop))
    with phases("load", "load", _target(scenario)), _watched(lab, membership) as failures:
        load, interrupted = _driven_load(lab.driver, profile, scenario.load.duration_ns, take, injector)
    events = tuple(injector.events())
    _require_requests(load, profile, interrupted=interrupted)
    warnings = [*_slower_users(lab), *_interruption(load, interrupted=interrupted), *failures]
    warnings += [*_never_updated(lab), *scenario.remarks()]
    if not interrupted and not (early_stop and early_stop.decided):
        warnings += _too_few(scenario, load)
    return Driven(
        exposed=exposed,
        load=load,
        spool=spool,
        counters=counters,
        events=events,
        members_changed=bool(membership.followed),
        looks=early_stop.all_looks if early_stop else None,
        interrupted=interrupted,
        warnings=(
            *warnings,
            *_lost_workers(load),
            *_strangers(load),
            *_locustfiles_words(scenario, load, interrupted=interrupted),
        ),
    )


def _driven_load(
    driver: Driver, profile: LoadProfile, duration_ns: int, take: OnProgress, injector: FaultInjector
) -> tuple[PhaseResult, bool]:
    """Drive the load with its faults to the end, and say whether Ctrl-C brought the end."""
    try:
        with injector:
            return driver.drive("load", profile, duration_ns, take), False
    except KeyboardInterrupt:
        return driver.stop(), True


def _require_requests(load: PhaseResult, profile: LoadProfile, *, interrupted: bool) -> None:
    """See that there is something to be judged."""
    if not load.requests:
        if interrupted:
            raise KeyboardInterrupt
        raised = f"; the locustfile's tasks raised: {worded(load.raised)}" if load.raised else ""
        raise LoadError(
            f"the load made no request at all; see load.rate, load.stages and load.duration{raised}"
        )
    raise_if_unanswered(load, profile)


def _target(scenario: Scenario) -> str:
    """Say how many users there are, or how often requests arrive."""
    load = scenario.load
    if load.model == "closed":
        numbers = [stage.users for stage in load.stages or ()] or [load.users]
        return f"{' then '.join(map(str, numbers))} users"
    rates = [load.rate_per_s] if load.rate_per_s else [stage.rate_per_s for stage in load.stages or ()]
    return f"{' then '.join(f'{rate:g}' for rate in rates if rate is not None)} requests/s"


def _early_stop(lab: Provisioned) -> EarlyStop | RoutedEarlyStop | None:
    """Give what ends the load when it has its verdict, where the scenario says so."""
    scenario = lab.scenario
    if scenario.load.until != "verdict":
        return None
    from harness.analysis.early_stop import EarlyStop  # noqa: PLC0415  imported with the analysis
    from harness.analysis.routes import RoutedEarlyStop  # noqa: PLC0415  imported with the analysis

    unit, shares = lab.strategy.can.unit, lab.strategy.expected_shares(lab.members)
    if scenario.routes:
        return RoutedEarlyStop(scenario, unit, shares)
    return EarlyStop(scenario, unit, list(scenario.instances()), shares)


@contextmanager
def _watched(lab: Provisioned, membership: Membership) -> Iterator[list[str]]:
    """Have a watcher tell the strategy of its members, where one is to; give what it could not follow."""
    if not lab.strategy.can.watcher and lab.scenario.membership == "static":
        yield []
        return
    with Watcher(lab.engine, membership) as watcher:
        yield watcher.failures


def _slower_users(lab: Provisioned) -> list[str]:
    if lab.scenario.load.user != "wire" or lab.driver.wire:
        return []
    warning = (
        "the compiled data plane is missing, so users of plain Python took its place, which cost "
        "more processor time: install a C compiler and python3-dev, then the harness again "
        "(in a clone: make run)"
    )
    return [warning]


def _interruption(load: PhaseResult, *, interrupted: bool) -> list[str]:
    return [f"interrupted after {load.wall_ns / 1e9:.1f} s of load"] if interrupted else []


def _never_updated(lab: Provisioned) -> list[str]:
    """Warn of a strategy that can't change its members although the scenario would have it do so."""
    replaced = any(event.action == "replace" for event in lab.scenario.events)
    if lab.strategy.can.discovery == "pushed" or not (replaced or lab.scenario.membership == "followed"):
        return []
    own = lab.strategy.can.follows
    means = f"instances come and go by its own means ({own})" if own else "it keeps what it began with"
    return [f"{lab.strategy.name} can't change its members: {means}, so it was measured as static"]


def _too_few(scenario: Scenario, load: PhaseResult) -> list[str]:
    asked = scenario.load.requests or 0
    if load.requests >= asked:
        return []
    within = f"load.duration ({scenario.load.duration_ns / 1e9:g} s); lengthen it"
    return [f"only {load.requests:,} of {asked:,} requests began within {within}"]


def _locustfiles_words(scenario: Scenario, load: PhaseResult, *, interrupted: bool) -> list[str]:
    """Say what a locustfile has rejected and raised, and whether it ended the load by itself."""
    found = []
    if load.rejections:
        number = sum(load.rejections.values())
        found.append(f"the locustfile called {number:,} answers failures: {worded(load.rejections)}")
    if load.raised:
        number = sum(load.raised.values())
        found.append(f"the locustfile's tasks raised {number:,} exceptions: {worded(load.raised)}")
    early = load.wall_ns < scenario.load.duration_ns - _EARLY_NS
    if load.user == "locustfile" and early and not interrupted and scenario.load.until is None:
        found.append(
            f"the locustfile's users or its shape ended the load after {load.wall_ns / 1e9:.1f} of "
            f"{scenario.load.duration_ns / 1e9:g} s"
        )
    return found


def _lost_workers(load: PhaseResult) -> list[str]:
    return [
        f"worker {worker['number']} on {worker['machine']} disappeared during the load; the "
        f"{worker['requests']:,} requests that it had reported by then count, its other ones do not"
        for worker in load.workers
        if worker["lost"]
    ]


def _strangers(load: PhaseResult) -> list[str]:
    """Name what spoke to the workers' port and is none of this run's."""
    return [
        f"{address} spoke to the workers' port without the secret of this run: {count:,} messages were "
        "dropped, and nothing of them counts"
        for address, count in load.strangers
    ]

"""One load, shared by several workers: what each of them is to do, and whose clock is how far off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.profile import LoadProfile


@dataclass(frozen=True)
class Share:
    """What one worker is to do.

    Attributes
    ----------
    profile
        Its part of the load.
    sources
        For each of its profile's sources, which one it is of all; the last one stands for the worker's own
        address, where it has none of them.
    """

    profile: LoadProfile
    sources: tuple[int, ...]


def shares(profile: LoadProfile, near: Sequence[bool]) -> list[Share]:
    """Divide a load among workers.

    Rates, connections of an open loop, and a bound on the requests are divided; the users of a closed loop
    are Locust's to divide. Each worker of an open loop keeps a schedule of its own, of its own seed: of
    independent Poisson arrivals the sum is one again.

    Parameters
    ----------
    profile
        What all of them do together.
    near
        For each worker, whether it has the profile's source addresses; they are divided, too, so that no two
        workers use up each other's ports. Others use whatever address they have.

    Raises
    ------
    ValueError
        There is too little of something for each to have one.
    """
    workers = len(near)
    local = sum(near)
    fewest = {
        "users": profile.users if not profile.user_stages else max(users for users, _ in profile.user_stages),
        "requests": profile.requests,
        "source addresses": len(profile.sources) if profile.sources and local else None,
    }
    for what, there_are in fewest.items():
        among = local if what == "source addresses" else workers
        if there_are is not None and there_are < among:
            raise ValueError(f"{there_are} {what} are too few for {among} workers")
    result = []
    place = 0
    for number in range(workers):
        taken = range(place, len(profile.sources), local) if near[number] else range(0)
        place += near[number]
        own = replace(
            profile,
            # Locust may give a worker more of the users than others, while they come and go.
            users=_part(profile.users, number, workers) if profile.stages else profile.users,
            requests=None if profile.requests is None else _part(profile.requests, number, workers),
            stages=tuple((rate / workers, lasts_ns) for rate, lasts_ns in profile.stages),
            sources=tuple(profile.sources[index] for index in taken),
            seed=profile.seed + number,
        )
        result.append(Share(own, tuple(taken) or (len(profile.sources) + number,)))
    return result


def _part(amount: int, number: int, parts: int) -> int:
    return amount // parts + (number < amount % parts)


@dataclass(frozen=True)
class Offset:
    """How far a worker's monotonic clock is ahead of the master's.

    Attributes
    ----------
    offset_ns, uncertainty_ns
        The estimate, and what it may be wrong by either way; both 0 where it is the same clock.
    """

    offset_ns: int
    uncertainty_ns: int


def offset_of(exchanges: Sequence[tuple[int, int, int]]) -> Offset:
    """Estimate a clock's offset from questions and answers.

    Of all exchanges, the one that took the least time says most: the other clock was read at some moment
    of it, so the middle is wrong by half of it at most (D. L. Mills: Network Time Protocol, RFC 5905,
    sections 8 and 10, where the sample of the lowest delay is chosen likewise).

    Parameters
    ----------
    exchanges
        When the question was sent, what the other clock showed, when the answer was there; nanoseconds.

    Raises
    ------
    ValueError
        There is none.
    """
    asked, showed, answered = min(exchanges, key=lambda exchange: exchange[2] - exchange[0])
    return Offset(showed - (asked + answered) // 2, (answered - asked + 1) // 2)


def drifted(before: Offset, after: Offset) -> Offset:
    """Give the offset that was used, with what is known afterwards of how wrong it may have been."""
    moved = abs(after.offset_ns - before.offset_ns)
    return Offset(before.offset_ns, max(before.uncertainty_ns, moved + after.uncertainty_ns))

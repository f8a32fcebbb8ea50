"""Wait on the host until instances say that they are ready: `… -m harness.engines.readiness FD`.

The request names places, what is asked and how long it may take; the answer names those that never were
ready, each with the last that was heard of it. It is a process of its own, on the instances' network, so
that neither the host nor the engine stands still meanwhile.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import closing
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from harness.common.channel import Channel, ChannelClosedError
from harness.errors import EngineError
from harness.types import Health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.types import Member

_EVERY_S = 0.05
_PATIENCE_S = 1.0
_SPARE_S = 10


def wait_ready(host: Host, members: Sequence[Member], health: Health | None, timeout_ns: int) -> None:
    """Wait until these instances are ready, where an application says how they tell.

    Raises
    ------
    EngineError
        One was not in time; the message holds the last that was heard of it.
    """
    if health is None or not members:
        return
    timeout_s = timeout_ns / 1e9
    program = host.spawn([sys.executable, "-m", "harness.engines.readiness"], "host", "instances")
    try:
        places = [(member.address, member.port) for member in members]
        program.channel.send({"places": places, "health": asdict(health), "timeout_s": timeout_s})
        never = program.channel.receive(timeout_s + _SPARE_S)["never"]
    except ChannelClosedError as error:
        words = program.stderr_tail() or "it was killed"
        raise EngineError(f"what waits for instances to be ready has gone: {words}") from error
    finally:
        program.channel.close()
    if never:
        number, heard = never[0]
        what = "a connection" if health.tcp else health.path
        raise EngineError(
            f"{len(never)} of {len(members)} instances (first: {members[number].name}) were not ready within "
            f"{timeout_s:g} s: {what}: {heard}; is application.health right, or application.start_timeout "
            "too short?"
        )


def _wait(places: Sequence[tuple[str, int]], health: Health, timeout_s: float) -> list[tuple[int, str]]:
    """Ask again and again; give the number of each that never was ready, and what it said."""
    heard = dict.fromkeys(range(len(places)), "no answer")
    end_s = time.monotonic() + timeout_s
    while True:
        for number in list(heard):
            heard[number] = _heard(*places[number], health)
            if not heard[number]:
                del heard[number]
        if not heard or time.monotonic() > end_s:
            return list(heard.items())
        time.sleep(_EVERY_S)


def _heard(address: str, port: int, health: Health) -> str:
    """Ask once; give what is wrong, or nothing."""
    try:
        if health.tcp:
            socket.create_connection((address, port), _PATIENCE_S).close()
            return ""
        with closing(HTTPConnection(address, port, timeout=_PATIENCE_S)) as connection:
            connection.request("GET", health.path)
            status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if health.accepts(status) else f"status {status}"


if __name__ == "__main__":
    with Channel.inherited(int(sys.argv[-1])) as asking:
        told = asking.receive()
        never_ready = _wait(told["places"], Health(**told["health"]), told["timeout_s"])
        asking.send({"never": never_ready})

"""Traefik's hash: of each client address, the server whose score is highest gets all (rendezvous hashing).

The score comes from FNV-1a of 64 bits, over the client's address followed by the server's URL. A byte is
mixed with those after it only: where URLs differ in the last one, as with ports 8001 to 8004, the scores of a
client's servers are no independent draws, and the shares follow these digits (Traefik's
pkg/server/service/loadbalancer/hrw/hrw.go, getNodeScore; the hash: RFC 9923).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hosts.address_plan import IPV4, Clients

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_OFFSET, _PRIME = 0xCBF29CE484222325, 0x100000001B3
_MOST = 16_000


def chosen(clients: Sequence[str], servers: Sequence[tuple[str, int]]) -> NDArray[np.intp]:
    """Give the number of the server that each client address gets.

    Parameters
    ----------
    clients
        Their addresses, without ports.
    servers
        URL and weight of each.
    """
    import numpy as np  # noqa: PLC0415  a strategy is made without it

    scores = np.empty((len(servers), len(clients)))
    begun = np.array([_fnv(client.encode()) for client in clients], dtype=np.uint64)
    for number, (url, weight) in enumerate(servers):
        state = begun.copy()
        for byte in url.encode():
            state = (state ^ np.uint64(byte)) * np.uint64(_PRIME)
        with np.errstate(divide="ignore"):
            scores[number] = weight / -np.log(state.astype(np.float64) / 2.0**64)
    found: NDArray[np.intp] = scores.argmax(axis=0)
    return found


def hash_shares(servers: Sequence[tuple[str, int]]) -> list[float]:
    """Give each server's share of the addresses that scattered clients can have."""
    import numpy as np  # noqa: PLC0415  as above

    clients = IPV4.sources("external", Clients(_MOST, "scattered"))
    counts = np.bincount(chosen(clients, servers), minlength=len(servers))
    return [int(count) / _MOST for count in counts]


def _fnv(data: bytes) -> int:
    state = _OFFSET
    for byte in data:
        state = (state ^ byte) * _PRIME & 0xFFFFFFFFFFFFFFFF
    return state

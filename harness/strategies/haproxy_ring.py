"""The ring on which HAProxy's `balance random` and `hash-type consistent` look servers up.

Each server has 16 points for each unit of its weight, at a hash of its id and the point's number. A value
belongs to the point that is nearest to it. So how much of the ring a server has depends on nothing but
ids and weights, and with few points the shares are far from equal (HAProxy's src/lb_chash.c, functions
chash_init_server_tree and chash_get_server_hash; include/haproxy/intops.h, __full_hash).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_POINTS = 16  # for each unit of weight: BE_WEIGHT_SCALE
_NUMBERS = 256 * _POINTS  # of points that a server can have: SRV_EWGHT_RANGE
_RING = 1 << 32


def ring_shares(servers: Sequence[tuple[int, int]]) -> list[float]:
    """Give each server's share of the ring.

    Parameters
    ----------
    servers
        Id and weight of each. Ids count from 1 in the configuration's order.
    """
    points = sorted(
        (_hash(number * _NUMBERS + k), owner)
        for owner, (number, weight) in enumerate(servers)
        for k in range(_POINTS * weight)
    )
    points.append((points[0][0] + _RING, points[0][1]))
    owned = [0.0] * len(servers)
    for (place, owner), (following, next_owner) in pairwise(points):
        owned[owner] += (following - place) / 2
        owned[next_owner] += (following - place) / 2
    return [each / _RING for each in owned]


def _hash(number: int) -> int:
    """Mix 32 bits: Robert Jenkins' six shifts, and a multiplication of HAProxy's own."""
    number = number + 0x7ED55D16 + (number << 12) & _RING - 1
    number = number ^ 0xC761C23C ^ number >> 19
    number = number + 0x165667B1 + (number << 5) & _RING - 1
    number = (number + 0xD3A2646C ^ number << 9) & _RING - 1
    number = number + 0xFD7046C5 + (number << 3) & _RING - 1
    number = number ^ 0xB55A4F09 ^ number >> 16
    return number * 3_221_225_473 % _RING

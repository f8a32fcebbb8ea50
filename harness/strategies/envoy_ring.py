"""The ring on which Envoy's ring hash looks hosts up.

A host has as many points as its weight and the ring's least size give it, each at the xxHash64 of its address
and port, "_" and the point's number. A value belongs to the next point, so how much of the ring a host has
depends on addresses and weights alone (Envoy's ring_hash_lb.cc, Ring::Ring and Ring::chooseHost; the hash is
Yann Collet's, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RING_SIZE = 1024
"""Envoy's own minimum_ring_size."""
_RING = 1 << 64
_ALL = _RING - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_STRIPE = 32


def ring_shares(hosts: Sequence[tuple[str, int]], ring_size: int) -> list[float]:
    """Give each host's share of the ring.

    Parameters
    ----------
    hosts
        Address with port, and weight, of each.
    ring_size
        The least number of points, as minimum_ring_size says it.
    """
    total = sum(weight for _, weight in hosts)
    least = min(weight for _, weight in hosts) / total
    scale = math.ceil(least * ring_size) / least
    points: list[tuple[int, int]] = []
    wanted = 0.0
    for owner, (place, weight) in enumerate(hosts):
        wanted += scale * weight / total
        number = 0
        while len(points) < wanted:
            points.append((xxhash64(f"{place}_{number}".encode()), owner))
            number += 1
    points.sort()
    owned = [0] * len(hosts)
    owned[points[0][1]] += points[0][0] + _RING - points[-1][0]
    for (before, _), (point, owner) in pairwise(points):
        owned[owner] += point - before
    return [each / _RING for each in owned]


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _ALL


def _round(state: int, lane: int) -> int:
    return _turned((state + lane * _P2) & _ALL, 31) * _P1 & _ALL


def xxhash64(data: bytes) -> int:
    """Give the xxHash64 of some bytes, with seed 0."""
    at = 0
    if len(data) < _STRIPE:
        state = _P5
    else:
        lanes = [(_P1 + _P2) & _ALL, _P2, 0, -_P1 & _ALL]
        while at + _STRIPE <= len(data):
            for k in range(4):
                lanes[k] = _round(lanes[k], int.from_bytes(data[at + 8 * k : at + 8 * k + 8], "little"))
            at += _STRIPE
        state = sum(_turned(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _ALL
        for lane in lanes:
            state = ((state ^ _round(0, lane)) * _P1 + _P4) & _ALL
    return _mixed(_tail((state + len(data)) & _ALL, data[at:]))


def _tail(state: int, rest: bytes) -> int:
    """Take in what is less than a stripe: words of eight bytes, of four, and single ones."""
    while len(rest) >= 8:
        state = (_turned(state ^ _round(0, int.from_bytes(rest[:8], "little")), 27) * _P1 + _P4) & _ALL
        rest = rest[8:]
    if len(rest) >= 4:
        state = (_turned(state ^ int.from_bytes(rest[:4], "little") * _P1 & _ALL, 23) * _P2 + _P3) & _ALL
        rest = rest[4:]
    for byte in rest:
        state = _turned(state ^ byte * _P5 & _ALL, 11) * _P1 & _ALL
    return state


def _mixed(state: int) -> int:
    state = (state ^ state >> 33) * _P2 & _ALL
    state = (state ^ state >> 29) * _P3 & _ALL
    return state ^ state >> 32

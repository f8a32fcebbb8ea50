"""Throw-away machines, by name: what each can hold and run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostKind:
    """What is known of a kind of host before one is made."""

    summary: str
    most_replicas: int
    engines: frozenset[str]


DEFAULT_SOURCES = 16
MOST_SOURCES = 16_000
"""How many addresses clients have, and how many they can have."""

HOSTS = {
    "netns": HostKind(
        summary="Linux namespaces on this machine, no root needed",
        most_replicas=64_000,
        engines=frozenset({"process"}),
    ),
}

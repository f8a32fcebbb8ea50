"""Actions of a strategy on its host, as data: planned before a run, or logged during expose and update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Command:
    """A program that runs to its end, with its standard input."""

    argv: tuple[str, ...]
    text: str
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class File:
    """A file on the host."""

    path: str
    text: str
    kind: Literal["write"] = "write"


@dataclass(frozen=True)
class Served:
    """A program that goes on, such as a proxy, and what is added to its environment."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    kind: Literal["serve"] = "serve"


@dataclass(frozen=True)
class Spawned:
    """A program that goes on and receives messages over a channel."""

    argv: tuple[str, ...]
    kind: Literal["start"] = "start"


@dataclass(frozen=True)
class Told:
    """A message to the program spawned last."""

    message: dict[str, Any]
    kind: Literal["tell"] = "tell"


Asked = Command | File | Served | Spawned | Told

"""Engines: what runs an instance on a host, by name.

In: a host, a workload and names; out: members that listen, what they counted, and how they ended.
Kinds of engines of other packages are found through the entry-point group ``harness.engines``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.registry import Registry
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.kind import EngineKind

_BUILT_IN = {
    "docker": "harness.engines.kind:DOCKER",
    "podman": "harness.engines.kind:PODMAN",
    "process": "harness.engines.kind:PROCESS",
}

ENGINES: Registry[EngineKind] = Registry("engine", "harness.engines", _BUILT_IN, EngineError)


def engines_able(able: Callable[[EngineKind], bool]) -> str:
    """Name the engines that can do something, as messages do: ``docker or podman``."""
    return " or ".join(kind.name for kind in engine_kinds() if able(kind))


def engine_kinds() -> list[EngineKind]:
    """List every kind of engine, by name."""
    return [ENGINES.find(name) for name in ENGINES.names()]

"""The strategies, found by name.

Those of other packages are found through the entry-point group ``harness.strategies``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from harness.errors import StrategyError

if TYPE_CHECKING:
    from harness.strategies.base import Strategy

ENTRY_POINT_GROUP = "harness.strategies"

_BUILT_IN = {
    "dnat-literal": "harness.strategies.dnat:DnatLiteral",
    "dnat-nth": "harness.strategies.dnat:DnatNth",
    "dnat-random": "harness.strategies.dnat:DnatRandom",
    "nft-hash": "harness.strategies.nft:NftHash",
    "nft-random": "harness.strategies.nft:NftRandom",
    "nft-round-robin": "harness.strategies.nft:NftRoundRobin",
}


@cache
def _from_other_packages() -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415  25 ms, for names that are not built in

    return {found.name: found.value for found in entry_points(group=ENTRY_POINT_GROUP)}


def strategy_names() -> list[str]:
    """List every strategy's name, sorted."""
    return sorted(_from_other_packages() | _BUILT_IN)


def find_strategy(name: str) -> type[Strategy]:
    """Find a strategy's class by its name.

    Raises
    ------
    KeyError
        There is none of this name.
    StrategyError
        Another package names it, but it can't be imported.
    """
    place = _BUILT_IN.get(name) or _from_other_packages()[name]
    module, _, attribute = place.partition(":")
    try:
        found: type[Strategy] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise StrategyError(f"strategy {name!r} can't be loaded from {place}: {error}") from error
    return found

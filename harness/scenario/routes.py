"""Several applications behind one port: which requests are whose, as a scenario says it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field, model_validator

from harness.scenario.base import Model
from harness.scenario.fields import HostName, RoutePath, Weight
from harness.scenario.problems import refuse
from harness.strategies import base as strategies

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ROUTES: Final = 255
"""A record has a byte for the route's number."""


class Route(Model):
    """Requests of one kind, and how many instances answer them."""

    path: RoutePath | None = Field(
        default=None, description="Requests whose path begins so; of several that fit, the longest."
    )
    host: HostName | None = Field(default=None, description="Requests for this name (header Host).")
    replicas: int = Field(ge=1, description="How many instances: NAME-1, NAME-2, ...")
    weight: Weight = Field(
        default=1, description="How many requests it gets, in relation to the other routes."
    )

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if (self.path is None) == (self.host is None):
            what = "has neither path nor host" if self.path is None else "has a path and a host"
            raise refuse(f"{what}; write one of them, as in {{path: /api, replicas: 2}}")
        return self

    def instances(self, name: str) -> list[str]:
        """Name the instances of the route of this name."""
        return [f"{name}-{k}" for k in range(1, self.replicas + 1)]

    def for_strategy(self, name: str) -> strategies.Route:
        """Give the route of this name as strategies see it."""
        return strategies.Route(name, self.path or "/", self.host or "")


def replicas_in_all(routes: object) -> int | None:
    """Add up the replicas of routes as a file has them; None where those are none, or can't be right."""
    if not isinstance(routes, dict) or not routes:
        return None
    numbers = [_replicas(route) for route in routes.values()]
    return sum(numbers) if all(type(number) is int and number > 0 for number in numbers) else None


def _replicas(route: object) -> Any:
    return route.get("replicas") if isinstance(route, dict) else getattr(route, "replicas", None)


def require_unlike(routes: Mapping[str, Route]) -> None:
    """Check that each request belongs to one route, in any order of the routes.

    Raises
    ------
    PydanticCustomError
        Two routes are alike, some are by path and others by host, or there are too many.
    """
    if len(routes) > MOST_ROUTES:
        raise refuse(f"{len(routes)} are too many; write {MOST_ROUTES} at most")
    for (first, one), (second, other) in combinations(routes.items(), 2):
        if (one.path is None) != (other.path is None):
            words = f"{first} and {second}: one is by path and one by host; write either for all of them"
            raise refuse(words, f"routes.{second}")
        if (one.path, one.host) == (other.path, other.host):
            key = "path" if one.path else "host"
            words = f"is that of route {first}, too: the route of a request would be ambiguous; change one"
            raise refuse(words, f"routes.{second}.{key}")


def shares_of_load(routes: Mapping[str, Route]) -> dict[str, float]:
    """Give each route's share of the requests; they add up to 1."""
    weights = Counter({name: route.weight for name, route in routes.items()})
    return {name: weight / weights.total() for name, weight in weights.items()}

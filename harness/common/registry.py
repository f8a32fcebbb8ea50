"""Parts found by name: the harness's own, and those that other packages offer as entry points.

A table names each of the harness's own parts by the place of its object, so that listing names imports
nothing. Other packages add theirs through an entry-point group (Python Packaging User Guide, "Entry points
specification"). The harness's own parts come first: a package cannot replace one of them.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind, by name.

    Parameters
    ----------
    kind
        What messages call one of them, such as ``strategy``.
    group
        The entry-point group through which other packages add theirs.
    built_in
        The place of each of the harness's own, as ``module:attribute``, by its name.
    error
        The error that says that one cannot be loaded.
    """

    def __init__(
        self, kind: str, group: str, built_in: Mapping[str, str], error: type[HarnessError] = HarnessError
    ) -> None:
        self.kind = kind
        self.group = group
        self._built_in = dict(built_in)
        self._error = error
        self._found: dict[str, T] = {}

    @cached_property
    def _offered(self) -> dict[str, set[str]]:
        """The places that other packages offer, by name."""
        from importlib.metadata import entry_points  # noqa: PLC0415  25 ms, for names that are not built in

        places: dict[str, set[str]] = {}
        for point in entry_points(group=self.group):
            places.setdefault(point.name, set()).add(point.value)
        return places

    def names(self) -> list[str]:
        """List every name, sorted; nothing is imported."""
        return sorted(self._offered.keys() | self._built_in.keys())

    def find(self, name: str) -> T:
        """Import the object of a name.

        Raises
        ------
        KeyError
            There is none of this name.
        HarnessError
            Of the registry's own class: it can't be imported, or several packages offer the name.
        """
        if name not in self._found:
            self._found[name] = self._load(name, self._place(name))
        return self._found[name]

    def _place(self, name: str) -> str:
        if name in self._built_in:
            return self._built_in[name]
        places = sorted(self._offered[name])
        if len(places) > 1:
            raise self._error(
                f"{self.kind} {name!r} is offered by several packages: {', '.join(places)} "
                f"(entry points of the group {self.group}); uninstall all but one"
            )
        return places[0]

    def _load(self, name: str, place: str) -> T:
        module, _, attribute = place.partition(":")
        try:
            return cast("T", getattr(import_module(module), attribute))
        except (ImportError, AttributeError) as error:
            raise self._error(f"{self.kind} {name!r} can't be loaded from {place}: {error}") from error

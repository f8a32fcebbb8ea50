"""Which instance an answer names: numbers of one list of names as those of another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import LoadError
from harness.recording.layout import NO_INSTANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def relabel(rows: NDArray[np.void], names: Sequence[str], among: Sequence[str]) -> None:
    """Give instances other numbers.

    Parameters
    ----------
    rows
        Of type `harness.recording.layout.dtype()`; the column `instance` is changed in place.
    names
        What it is an index into.
    among
        What it is to be an index into; an unknown name becomes `NO_INSTANCE`.
    """
    place = {name: number for number, name in enumerate(among)}
    places = np.array([*(place.get(name, NO_INSTANCE) for name in names), NO_INSTANCE], dtype=np.uint32)
    rows["instance"] = places[np.minimum(rows["instance"], len(names))]


def own_names(identities: Sequence[str], replicas: int) -> tuple[str, ...]:
    """Name instances by what they call themselves."""
    distinct = sorted(set(identities), key=_natural)
    if len(distinct) > replicas:
        raise LoadError(
            f"{len(distinct)} different identities answered, {distinct[0]!r} and {distinct[1]!r} among them, "
            f"but there are {replicas} replicas: the identity must be the same in all answers of an "
            f"instance, of each of its processes, and differ between instances, as its host name does"
        )
    unseen = (f"(unseen {number})" for number in range(1, replicas - len(distinct) + 1))
    return (*distinct, *unseen)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Give a sort key that puts `instance-2` before `instance-10`."""
    # Every second part is digits: more of them is a larger number. The name itself tells "01" from "1".
    parts = re.split(r"([0-9]+)", name)
    numbers = [part.lstrip("0") for part in parts]
    return [(len(numbers[i]), numbers[i]) if i % 2 else (0, part) for i, part in enumerate(parts)], name

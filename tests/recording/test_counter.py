from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.recording.counter import UnitCounter
from harness.recording.layout import NO_INSTANCE, dtype
from harness.recording.table import Recording

if TYPE_CHECKING:
    from harness.types import Unit

requests = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 5), st.sampled_from([0, 1, 2, NO_INSTANCE])), max_size=60
)


@pytest.mark.parametrize("unit", ["connection", "request", "source"])
@given(rows=requests, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_counter_of_blocks_equals_that_of_the_whole(
    unit: Unit, rows: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    """Counted in blocks, the units and those without an instance are what the recording counts at once."""
    records = np.zeros(len(rows), dtype())
    for column, values in zip(("connection", "source", "instance"), zip(*rows, strict=True), strict=False):
        records[column] = values
    whole = Recording(records, ("a", "b", "c"), 0, datetime(2026, 1, 1, tzinfo=UTC))
    counter = UnitCounter(unit)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in pairwise(edges):
        counter.add(records[start:end])
    assert counter.counts(3).tolist() == whole.units_by_instance(unit).tolist()
    assert counter.missing == whole.unattributed(unit)


def test_counter_keeps_unexpected_instances() -> None:
    """Where more instances answer than there should be, the counts show it."""
    records = np.zeros(5, dtype())
    records["instance"] = range(5)
    counter = UnitCounter("request")
    counter.add(records)
    assert counter.counts(3).tolist() == [1] * 5

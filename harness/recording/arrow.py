"""Columns of the request table as Arrow has them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.recording.layout import ERRORS, NO_INSTANCE, NOT_THERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNITS = {
    "intended_start_ns": "ns since started_at",
    "start_ns": "ns since started_at",
    "latency_ns": "ns",
    "connect_ns": "ns; null where the connection was there before, or never",
    "first_byte_ns": "ns; null where no byte came",
}
"""What numbers of the table are in."""

MAYBE = ("connect_ns", "first_byte_ns")
"""Columns that a request may have nothing in."""

PROTOCOL_S_OWN = ("stream", "protocol_status")
"""Columns that are there only where a request has something in them: HTTP/1.1 has neither."""


def fill(rows: NDArray[np.void], table: Any, instances: Sequence[str], routes: Sequence[str]) -> None:
    """Copy the columns of an Arrow table to rows."""
    for column in ("intended_start_ns", "start_ns", "latency_ns", "connection", "status", "source"):
        rows[column] = table[column].to_numpy()
    for column in MAYBE:
        rows[column] = table[column].fill_null(NOT_THERE).to_numpy()
    for column in PROTOCOL_S_OWN:
        if column in table.column_names:
            rows[column] = table[column].to_numpy()
    rows["instance"] = _from_dictionary(table["instance"], instances, NO_INSTANCE)
    rows["error"] = _from_dictionary(table["error"], ERRORS, 0)
    if routes:
        rows["route"] = _from_dictionary(table["route"], routes, 0)


def as_column(values: NDArray[Any], null: NDArray[np.bool_] | None = None) -> Any:
    """Hand numbers to Arrow; ``pa.array`` would import pandas first, to ask whether they are its own."""
    import pyarrow as pa  # noqa: PLC0415  as in Recording.to_parquet

    # Arrow's columnar format: a bit for each value, the lowest first, set where it is not null.
    validity = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
    buffers = [validity, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def as_dictionary(indices: NDArray[Any], null: NDArray[np.bool_], names: Sequence[str]) -> Any:
    """Make a column of indices into names."""
    import pyarrow as pa  # noqa: PLC0415  as in Recording.to_parquet

    texts = [name.encode() for name in names]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    words = pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts)))
    return pa.DictionaryArray.from_arrays(as_column(indices.astype(np.int32), null), words)


def _from_dictionary(column: Any, names: Sequence[str], none: int) -> NDArray[np.int64]:
    """Give each value's index among `names`; `none` for null."""
    place = {name: index for index, name in enumerate(names)}
    parts = [np.empty(0, dtype=np.int64)]
    for chunk in column.chunks:
        # A file's row groups each have a dictionary of their own. Null takes the last entry.
        places = np.array([*(place[name] for name in chunk.dictionary.to_pylist()), none], dtype=np.int64)
        parts.append(places[chunk.indices.fill_null(len(places) - 1).to_numpy()])
    return np.concatenate(parts)

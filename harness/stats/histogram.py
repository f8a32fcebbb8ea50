"""Histograms of latencies, that merge without loss and weigh some kilobytes.

The buckets are those of HdrHistogram (G. Tene, hdrhistogram.org) with a lowest discernible value of 1 ns
and three significant digits: up to 2,047 ns each value has a bucket of its own, and from there on every
doubling of the values doubles the buckets' width, so that no value is off by more than one part in 1,024.
There is no highest value: the buckets go on to 2^63 - 1 ns, and those without values take no room.

All that is written here rather than taken from the package hdrhistogram is recording: that package takes
one value at a time. What is stored is its format (V2, compressed, base64), which the tools of
HdrHistogram in other languages read.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

DIGITS: Final = 3
"""Significant digits; 2 x 10^3 values must be distinct before the first doubling, so 2^11 are."""

_HALF_BITS: Final = 10
_HALF: Final = 1 << _HALF_BITS
BUCKETS: Final = (63 - _HALF_BITS + 1) * _HALF
"""How many buckets there are up to 2^63 - 1."""

# Values that are turned into indices at a time: the processor's caches hold them.
_CHUNK: Final = 1 << 16

_COMPRESSED: Final = struct.Struct(">II")  # cookie, bytes that follow
_HEADER: Final = struct.Struct(">IIIIqqd")  # cookie, bytes, offset, digits, lowest, highest, ratio
_COMPRESSED_COOKIE: Final = 0x1C849314
_COOKIE: Final = 0x1C849313
# The encoding of a count of any size in every bucket: nothing longer is unpacked.
_LONGEST: Final = _HEADER.size + 9 * BUCKETS


def bucket_indices(values_ns: NDArray[np.integer]) -> NDArray[np.int64]:
    """Say which bucket each value belongs to.

    Parameters
    ----------
    values_ns
        Values from 0 to 2^63 - 1; any shape.

    Returns
    -------
    ndarray of int64
        Indices from 0 to `BUCKETS` - 1, of the same shape; they rise with the values.

    Raises
    ------
    ValueError
        A value is negative, above 2^63 - 1, or no whole number.

    Notes
    -----
    With b = max(bit length - 11, 0), the index is 1024 b + (value >> b), which is what HdrHistogram's
    indices of bucket and sub-bucket come to in its array of counts.
    """
    values = np.asarray(values_ns)
    if values.dtype.kind not in "iu":
        raise ValueError(f"latencies are whole nanoseconds, not {values.dtype}")
    if values.size and not (values.min() >= 0 and values.max() <= np.iinfo(np.int64).max):
        raise ValueError(f"a latency must be from 0 to 2^63 - 1 ns: {values.min()} to {values.max()}")
    values = values.astype(np.int64, copy=False)
    # frexp gives the bit length of what a double holds exactly, and without the last ten bits that is all.
    doublings = np.frexp(np.maximum(values >> _HALF_BITS, 1).astype(np.float64))[1].astype(np.int64) - 1
    indices: NDArray[np.int64] = (doublings << _HALF_BITS) + (values >> doublings)
    return indices


def lowest_values(indices: NDArray[np.integer]) -> NDArray[np.int64]:
    """Give the lowest value of each bucket, in nanoseconds."""
    at = np.asarray(indices, dtype=np.int64)
    doublings = _doublings(at)
    lowest: NDArray[np.int64] = (at - (doublings << _HALF_BITS)) << doublings
    return lowest


def highest_values(indices: NDArray[np.integer]) -> NDArray[np.int64]:
    """Give the highest value of each bucket, in nanoseconds."""
    at = np.asarray(indices, dtype=np.int64)
    # Not the next one's lowest value, less one: the last has no next.
    highest: NDArray[np.int64] = lowest_values(at) + ((np.int64(1) << _doublings(at)) - 1)
    return highest


def _doublings(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    doublings: NDArray[np.int64] = np.maximum((indices >> _HALF_BITS) - 1, 0)
    return doublings


@dataclass(frozen=True, eq=False)
class Histogram:
    """Latencies as counts of buckets.

    Attributes
    ----------
    indices
        The buckets that have values, ascending; shape (occupied,).
    counts
        How many values each of them has; shape (occupied,).
    """

    indices: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def from_values(cls, values_ns: NDArray[np.integer]) -> Histogram:
        """Record values, in nanoseconds, in any order; ten million take a fraction of a second.

        Raises
        ------
        ValueError
            As `bucket_indices`.
        """
        values = np.asarray(values_ns).ravel()
        counts = np.zeros(BUCKETS, dtype=np.int64)
        for start in range(0, values.size, _CHUNK):
            found = np.bincount(bucket_indices(values[start : start + _CHUNK]))
            counts[: found.size] += found
        return cls._of(counts)

    @classmethod
    def _of(cls, counts: NDArray[np.int64]) -> Histogram:
        indices = np.flatnonzero(counts)
        return cls(indices, counts[indices])

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return int(self.counts.sum())

    def __add__(self, other: Histogram) -> Histogram:
        """Give the histogram of both one's and the other's values."""
        if not isinstance(other, Histogram):
            return NotImplemented
        counts = np.zeros(BUCKETS, dtype=np.int64)
        counts[self.indices] = self.counts
        counts[other.indices] += other.counts
        return self._of(counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return np.array_equal(self.indices, other.indices) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((self.indices.tobytes(), self.counts.tobytes()))

    def quantile(self, q: float) -> int | None:
        """Give the latency that a share q of the values is at most, in nanoseconds.

        Parameters
        ----------
        q
            Above 0 and at most 1.

        Returns
        -------
        int or None
            The highest value of the bucket that holds the quantile of Hyndman and Fan's type 1, the
            smallest value v with #(values <= v) >= q n. So at least that quantile, and above it by less
            than one part in 1,024. None without values.

        Raises
        ------
        ValueError
            q is no share.
        """
        if not 0 < q <= 1:
            raise ValueError(f"a quantile's share must be above 0 and at most 1, not {q}")
        if not self.counts.size:
            return None
        cumulated = self.counts.cumsum()
        # 0.07 * 100 is a little above 7 in binary; a little below 0.07 makes it the seventh value again.
        rank = max(int(np.ceil(np.nextafter(q, 0) * cumulated[-1])), 1)
        at = int(np.searchsorted(cumulated, rank))
        return int(highest_values(self.indices[at : at + 1])[0])

    def mean(self) -> float | None:
        """Give the mean in nanoseconds, each value taken as its bucket's middle; None without values."""
        if not self.counts.size:
            return None
        # As HdrHistogram has it: the middle of an even number of values is the upper one.
        middle = lowest_values(self.indices) + ((np.int64(1) << _doublings(self.indices)) >> 1)
        return float(np.average(middle.astype(np.float64), weights=self.counts))

    def to_json(self) -> str:
        """Give the histogram as one line of text, for a JSON document.

        It is HdrHistogram's V2 encoding, compressed and in base64: counts in the order of the buckets,
        runs of empty ones as one negative number, all in ZigZag LEB128.
        """
        counts = b"".join(map(_encoded, self._with_gaps()))
        header = _HEADER.pack(_COOKIE, len(counts), 0, DIGITS, 1, np.iinfo(np.int64).max, 1.0)
        packed = zlib.compress(header + counts, 9)
        return base64.b64encode(_COMPRESSED.pack(_COMPRESSED_COOKIE, len(packed)) + packed).decode("ascii")

    def _with_gaps(self) -> Iterator[int]:
        gaps = np.diff(self.indices, prepend=-1) - 1
        for gap, count in zip(gaps.tolist(), self.counts.tolist(), strict=True):
            if gap:
                yield -gap
            yield count

    @classmethod
    def from_json(cls, text: str) -> Histogram:
        """Read what `to_json` gave, or another tool's histogram of whole nanoseconds with three digits.

        Raises
        ------
        ValueError
            The text is no such histogram.
        """
        try:
            packed = base64.b64decode(text, validate=True)
            cookie, length = _COMPRESSED.unpack_from(packed)
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(packed[_COMPRESSED.size :], _LONGEST)
            inner, counts_length, offset, digits, lowest, _, _ = _HEADER.unpack_from(content)
        except (binascii.Error, struct.error, zlib.error, UnicodeEncodeError, ValueError) as error:
            raise ValueError(f"the text is no HdrHistogram ({error})") from None
        sizes = (length, counts_length)
        if (cookie, inner, *sizes) != (
            _COMPRESSED_COOKIE,
            _COOKIE,
            len(packed) - _COMPRESSED.size,
            len(content) - _HEADER.size,
        ) or not unpacking.eof:
            raise ValueError("the text is no HdrHistogram of the encoding V2, or only a part of one")
        if (offset, digits, lowest) != (0, DIGITS, 1):
            raise ValueError(
                f"a histogram of 1 ns and {DIGITS} digits is needed, not of {lowest} ns and {digits} digits"
            )
        return cls._from_gaps(_decoded(content[_HEADER.size :]))

    @classmethod
    def _from_gaps(cls, numbers: Iterable[int]) -> Histogram:
        indices: list[int] = []
        counts: list[int] = []
        at = 0
        for number in numbers:
            if number > 0:
                indices.append(at)
                counts.append(number)
            # A bucket that is empty alone may be written as a count of 0.
            at += max(-number, 1)
        if indices and indices[-1] >= BUCKETS:
            raise ValueError(f"the histogram has a bucket {indices[-1]}, beyond the last of {BUCKETS}")
        return cls(np.array(indices, dtype=np.int64), np.array(counts, dtype=np.int64))


def _encoded(number: int) -> bytes:
    """Encode a signed number: the sign last, then seven bits a byte; a ninth byte has eight."""
    left = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while left > 0x7F and len(encoded) < 8:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


def _decoded(content: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in content:
        last = byte < 0x80 or shift == 56
        number |= (byte if shift == 56 else byte & 0x7F) << shift
        shift += 7
        if last:
            yield number >> 1 ^ -(number & 1)
            number = shift = 0
    if shift:
        raise ValueError("the histogram's last count is cut short")

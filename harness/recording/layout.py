"""The packed record: what the generator writes for every request, and how it is read back.

Little-endian, without padding; `harness/load/wire/record.h` has the same layout. Users in Python pack
with `STRUCT`; readers use `as_array`. This module is imported by both sides, so numpy is loaded
only where it is used.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


FIELDS: Final = (
    ("intended_start_ns", "<i8"),  # monotonic clock; what latency counts from in an open loop
    ("start_ns", "<i8"),  # monotonic clock; equal to the intended start in a closed loop
    ("latency_ns", "<i8"),  # start to last byte, connecting included; of a failure: until it was known
    ("connect_ns", "<i8"),  # start to the connection's being there, NOT_THERE on one that was there before
    ("first_byte_ns", "<i8"),  # start to the answer's first byte, NOT_THERE without any
    ("connection", "<u4"),  # serial number of the connection attempt within the phase, from 0
    ("instance", "<u4"),  # index into the phase's identities, or NO_INSTANCE
    ("status", "<u2"),  # HTTP status, 0 when there was none
    ("source", "<u2"),  # index into the profile's sources, 0 when there are none
    ("stream", "<u2"),  # number of the stream on its connection, modulo 65,536; 0 where the protocol has none
    ("protocol_status", "<u2"),  # gRPC's status, WebSocket's close code; 0 where the protocol has none
    ("error", "u1"),  # index into ERRORS
    ("route", "u1"),  # index into the profile's routes, 0 when there are none
)
"""Name and numpy type of each field, in order."""

_STRUCT_CODES = {"<i8": "q", "<u4": "I", "<u2": "H", "u1": "B"}

STRUCT: Final = struct.Struct("<" + "".join(_STRUCT_CODES[kind] for _, kind in FIELDS))
"""One record as the generator packs it."""

NOT_THERE: Final = -1
"""A time that there is none of."""

NO_INSTANCE: Final = 0xFFFFFFFF
"""The instance of a request whose instance is unknown."""

ERRORS: Final = (
    "none",
    "refused",  # the connection was refused
    "reset",  # the connection was reset, before the answer or in it
    "timed_out",  # connection and answer were not complete in time
    "truncated",  # the connection was closed before the answer was complete
    "malformed",  # the answer is not HTTP, too large, or followed by bytes that no request asked for
    "unreachable",  # the network knows no way to the endpoint
    "unidentified",  # a good answer that doesn't name its instance
    "status",  # an answer with status 400 or above
    "no_port",  # the generator's own machine has no local port left: its limit, not the endpoint's
    "other",
    "rejected",  # an answer that the locustfile called a failure
)
"""Classes of failure; the index is the code in the record."""

(
    NONE,
    REFUSED,
    RESET,
    TIMED_OUT,
    TRUNCATED,
    MALFORMED,
    UNREACHABLE,
    UNIDENTIFIED,
    STATUS,
    NO_PORT,
    OTHER,
    REJECTED,
) = range(len(ERRORS))


ERROR_OF: Final = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ECONNABORTED: RESET,
    errno.ETIMEDOUT: TIMED_OUT,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETDOWN: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
}
"""What the errno of a socket says of a request; of any other, `OTHER`."""


def dtype() -> np.dtype[Any]:
    """Give the numpy type of one record, the same layout as `STRUCT`."""
    import numpy as np  # noqa: PLC0415  the parent imports this module before it needs numpy

    return np.dtype(list(FIELDS))


def as_array(data: bytes | bytearray | memoryview) -> npt.NDArray[Any]:
    """View packed records as a structured array of type `dtype()`.

    An incomplete record at the end, left by a generator that was killed in the middle of a write, is
    left out.
    """
    import numpy as np  # noqa: PLC0415  the parent imports this module before it needs numpy

    return np.frombuffer(data, dtype(), count=len(data) // STRUCT.size)


def failed_statuses(rows: npt.NDArray[np.void]) -> dict[int, int]:
    """Count the answers that failed by their status, by that."""
    import numpy as np  # noqa: PLC0415  see above

    statuses, counts = np.unique(rows["status"][rows["error"] == STATUS], return_counts=True)
    return dict(zip(statuses.tolist(), counts.tolist(), strict=True))

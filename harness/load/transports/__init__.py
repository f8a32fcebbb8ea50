"""What moves the bytes of a flow, for users of plain Python: the transports, by name.

Those of other packages are found through the entry-point group ``harness.transports``. The compiled data
plane has its own in ``harness/load/wire/transports``, of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from harness.common.registry import Registry
from harness.errors import LoadError

if TYPE_CHECKING:
    from harness.load.profile import LoadProfile

READ: Final = 1  # libev's EV_READ and EV_WRITE
WRITE: Final = 2


class FlowFailedError(Exception):
    """A flow failed for a reason that no errno says; `error` is an index into `ERRORS`."""

    def __init__(self, error: int) -> None:
        self.error = error


class Transport(Protocol):
    """One user's end of one flow after the other; no method waits.

    What fails raises `OSError`, or `FlowFailedError` where that has no errno for it.

    Attributes
    ----------
    is_open
        Whether there is a flow.
    """

    is_open: bool

    def __init__(self, profile: LoadProfile) -> None: ...

    def open(self, source: str | None) -> int:
        """Begin to open a flow from a local address, or from any, and give its descriptor."""

    def send(self, data: bytes) -> int:
        """Send what there is room for; `BlockingIOError` where there is none, or not yet a flow."""

    def receive(self, most: int) -> bytes:
        """Give what has come, ``b""`` at its end; `BlockingIOError` where nothing has.

        What was taken off the descriptor must not stay behind: its user waits for the descriptor before it
        asks again.
        """

    def wants(self, event: int) -> int:
        """Give the event to wait for, `READ` or `WRITE`, before receiving (`READ`) or sending (`WRITE`)."""

    def close(self) -> None:
        """Close the flow, if there is one."""


TRANSPORTS: Registry[type[Transport]] = Registry(
    "transport", "harness.transports", {"tcp": "harness.load.transports.tcp:Tcp"}, LoadError
)
"""The transports; `LoadProfile.transport` is a name."""

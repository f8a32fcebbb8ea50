"""What makes exchanges of a flow's bytes, for users of plain Python: the codecs, by name.

Those of other packages are found through the entry-point group ``harness.codecs``. The compiled data plane
has its own in ``harness/load/wire/codecs``, of the same names; what they send is what `Codec.requests` gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.common.registry import Registry
from harness.errors import LoadError

if TYPE_CHECKING:
    from harness.load.profile import LoadProfile


@dataclass(frozen=True, slots=True)
class Answer:
    """What a complete answer, or a failed one, says for the record.

    Parameters
    ----------
    status
        HTTP status; 0 when it was not read, and where there is none.
    instance
        Index into `Codec.identities`, or `NO_INSTANCE`.
    error
        Index into `ERRORS`.
    body_bytes
        Length of the body.
    keep
        Whether the flow can take another exchange.
    stream
        Its number on the flow, modulo 65,536; 0 where the protocol has none.
    protocol_status
        The protocol's own status; 0 where it has none.
    """

    status: int
    instance: int
    error: int
    body_bytes: int
    keep: bool
    stream: int = 0
    protocol_status: int = 0


class Exchanges(Protocol):
    """The exchanges of one flow, one after the other."""

    def encode(self, route: int) -> bytes:
        """Begin an exchange on a route, and give the bytes to send."""

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes, ``b""`` at the end of the stream; give the answer once it is complete."""


class Codec(Protocol):
    """The exchanges of one phase: made with its profile.

    Attributes
    ----------
    identities
        The names of the instances, in the order of their first answer.
    odd_answer
        The first bytes of the first answer that was malformed or unidentified.
    """

    identities: list[str]
    odd_answer: str | None

    def __init__(self, profile: LoadProfile) -> None: ...

    @staticmethod
    def requests(profile: LoadProfile) -> tuple[bytes, ...]:
        """Give the request on each route, or the only one, as the compiled codec of this name takes it."""

    def exchanges(self) -> Exchanges:
        """Begin with a flow that is new."""


CODECS: Registry[type[Codec]] = Registry(
    "codec", "harness.codecs", {"http1": "harness.load.codecs.http1:Http1"}, LoadError
)
"""The codecs; `LoadProfile.codec` is a name."""

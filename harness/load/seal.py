"""The seal on a message between a master and its workers: a code that only the run's own processes can make.

HMAC-SHA256 (RFC 2104) of the direction, the worker's name, a number that grows, and the content. Each side
takes growing numbers only, so nothing is taken twice.
"""

from __future__ import annotations

import hmac
from typing import Final

_CODE_BYTES: Final = 32
_NUMBER_BYTES: Final = 8


class Seal:
    """Seals what one side sends, and opens what the other side has sealed.

    Parameters
    ----------
    secret
        That of the run.
    sends, takes
        Which direction is sealed, and which is opened: no message can be sent back to its sender.
    """

    def __init__(self, secret: str, sends: str, takes: str) -> None:
        self._key = secret.encode()
        self._sends, self._takes = sends, takes
        self._sent = 0
        self._taken: dict[str, int] = {}

    def close(self, name: str, content: bytes) -> bytes:
        """Seal a message that goes to, or comes from, the worker of this name."""
        self._sent += 1
        numbered = self._sent.to_bytes(_NUMBER_BYTES) + content
        return self._code(self._sends, name, numbered) + numbered

    def open(self, name: str, sealed: bytes) -> bytes | None:
        """Give a message's content; None if it has no valid seal, or was opened before."""
        code, numbered = sealed[:_CODE_BYTES], sealed[_CODE_BYTES:]
        if len(numbered) < _NUMBER_BYTES or not hmac.compare_digest(
            code, self._code(self._takes, name, numbered)
        ):
            return None
        number = int.from_bytes(numbered[:_NUMBER_BYTES])
        if number <= self._taken.get(name, 0):
            return None
        self._taken[name] = number
        return numbered[_NUMBER_BYTES:]

    def _code(self, direction: str, name: str, numbered: bytes) -> bytes:
        head = f"{direction} {len(name)} {name} ".encode()
        return hmac.digest(self._key, head + numbered, "sha256")

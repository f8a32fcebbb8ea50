"""Counts requests that FastHttpUser's client sends again by itself, when a server closed the connection."""

from __future__ import annotations

from typing import Any, Final

import gevent
import geventhttpclient.client
from geventhttpclient.response import HTTPSocketPoolResponse

from harness.recording.layout import NONE, REJECTED, STATUS, UNIDENTIFIED

_CLIENT: Final[Any] = geventhttpclient.client
_ANSWERED: Final = {NONE, STATUS, UNIDENTIFIED, REJECTED}


class Resending:
    """Notes every connection that ended before its answer began, as long as it is in force.

    Attributes
    ----------
    count
        Requests sent again.
    """

    def __init__(self) -> None:
        self.count = 0
        _CLIENT.HTTPSocketPoolResponse = _noting

    @staticmethod
    def end() -> None:
        """Leave the client as it was."""
        _CLIENT.HTTPSocketPoolResponse = HTTPSocketPoolResponse

    def ended(self, error: int) -> None:
        """Take the end of the running user's request: all but the last of its failures were sent again."""
        here = gevent.getcurrent()
        lost, here.lost = getattr(here, "lost", 0), 0
        self.count += lost if error in _ANSWERED else max(lost - 1, 0)


def _noting(*arguments: Any, **named: Any) -> Any:
    """Read the head of an answer, and note where there is none."""
    try:
        return HTTPSocketPoolResponse(*arguments, **named)
    except Exception:
        here = gevent.getcurrent()
        here.lost = getattr(here, "lost", 0) + 1
        raise

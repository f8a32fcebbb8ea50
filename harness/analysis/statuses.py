"""Failed answers by their status, and whose they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from harness.summary.run import StatusRow

if TYPE_CHECKING:
    from harness.recording.table import Recording
    from harness.types import Layer

LAYER_OF_REQUESTS: Final = 7
_OF_PROXIES: Final = {502, 503, 504}


def status_rows(recording: Recording, layer: Layer) -> tuple[StatusRow, ...]:
    """Give each status of failed answers, the commonest first, with whose they were."""

    def whose(status: int, *, named: bool) -> Literal["instance", "proxy", "unknown"]:
        if named:
            return "instance"
        return "proxy" if layer == LAYER_OF_REQUESTS and status in _OF_PROXIES else "unknown"

    rows = [
        StatusRow(status=status, count=count, by=whose(status, named=named))
        for (status, named), count in recording.failed_statuses().items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.status, row.by)))

"""The part of a summary that says when requests succeeded."""

from __future__ import annotations

from harness.summary.tests import Model


class SilenceRow(Model):
    """A span without a success, in seconds after the first request, and how many requests failed in it."""

    from_s: float
    to_s: float
    failed: int


class ServiceSummary(Model):
    """Errors by number and by time, of the whole load or, where there are events, until the first of them.

    `failed` of `requests` failed; the run passes with a share of `limit` at most (the scenario's `errors`).
    `longest` is the longest span without a success; `gone` are the spans in which the service had gone:
    requests failed, none succeeded, and chance does not explain it (`harness.stats.service`). The time was
    divided into `windows`, of which `windows_without` had no success; in the last one, `last_failed` of
    `last_requests` failed. `pause_ms` is how long each user of a closed loop waits after its failures, at
    most, so that a service that has gone is asked seldom; null for other loads.
    """

    limit: float
    seconds: float
    requests: int
    failed: int
    longest: SilenceRow | None
    gone: tuple[SilenceRow, ...] = ()
    windows: int
    windows_without: int
    last_requests: int
    last_failed: int
    pause_ms: float | None = None


_LOST_SHARE = 0.0002
_FEWEST_LOST = 10
_RESENT_FOR_EACH = 4


class NetworkSummary(Model):
    """TCP segments that all network namespaces of the host sent during the load.

    `resent` were sent again; `needless` of them had arrived the first time (DSACK, RFC 2883).
    `overflowed` connections met a full queue of a program that listens, which makes up to four segments
    be sent again for each.
    """

    segments: int
    resent: int
    needless: int
    overflowed: int

    @property
    def lost(self) -> int:
        """Give how many were sent again that neither haste nor a full queue explains."""
        return max(self.resent - self.needless - _RESENT_FOR_EACH * self.overflowed, 0)

    @property
    def lossy(self) -> bool:
        """Tell whether more were lost than stray ones; links inside one machine lose none."""
        return self.lost >= _FEWEST_LOST and self.lost > _LOST_SHARE * self.segments

    @property
    def words(self) -> str:
        """Say how many packets were lost."""
        share = self.lost / max(self.segments, 1) * 100
        segments = f"{self.lost:,} of {self.segments:,} TCP segments ({share:.2g} %)"
        return f"the network lost packets: {segments} had to be sent again"

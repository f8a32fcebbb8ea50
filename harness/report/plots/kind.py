"""What a kind of plot is: its name, what it shows, and the results that it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.recording.table import Recording
    from harness.report.plots.style import Picture
    from harness.summary.run import Summary
    from harness.summary.suite import SuiteSummary

MOST_RUNS: Final = 8
"""The most curves that can be distinguished in one picture."""


@dataclass(frozen=True)
class Source:
    """A result to be drawn, under a label; its parts are read when a plot needs them.

    Attributes
    ----------
    label
        What a picture of several results calls it.
    read_summary, read_recording
        Give its parts; raise `ResultError` where they are missing or damaged.
    """

    label: str
    read_summary: Callable[[], Summary]
    read_recording: Callable[[], Recording]

    @property
    def summary(self) -> Summary:
        """Read the summary."""
        return self.read_summary()

    @property
    def recording(self) -> Recording:
        """Read the requests."""
        return self.read_recording()


@dataclass(frozen=True)
class Caption:
    """How the HTML page presents a plot.

    Attributes
    ----------
    title
        Its title; that of one result is followed by ``of NAME``.
    text
        What is written below it; of one result, ``{units}`` stands for what its shares are of.
    """

    title: str
    text: str


def _always(_sources: Sequence[Source]) -> bool:
    return True


@dataclass(frozen=True)
class PlotKind:
    """A kind of plot. Other packages add theirs by the entry-point group ``harness.plots``.

    Attributes
    ----------
    name
        Its name: ``harness plot --kind NAME``, ``result.plot.NAME()``.
    shows
        What it shows, in one line of help.
    draws
        ``one``: a picture for each result; ``few``: a picture for up to `MOST_RUNS` results together;
        ``all``: a picture for all results together.
    draw
        Draws them: exactly one for ``one``, at least one for the others. Raises `ResultError` for results
        that make no such picture.
    requests
        Whether it needs the requests, which most archived results lack, and not the summary alone.
    fits
        Whether `harness plot` draws these results by default.
    draw_suite
        Draws what `harness suite --json` printed; None where that does not suffice.
    of_one, of_all
        Its captions in the HTML page, for one result and for several together; None where the page does
        without.
    """

    name: str
    shows: str
    draws: Literal["one", "few", "all"]
    draw: Callable[[Sequence[Source]], Picture]
    requests: bool = False
    fits: Callable[[Sequence[Source]], bool] = _always
    draw_suite: Callable[[SuiteSummary], Picture] | None = None
    of_one: Caption | None = None
    of_all: Caption | None = None

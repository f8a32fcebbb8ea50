"""A figure as a file: PNG with a fixed resolution, or SVG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from harness.common.files import write_whole
from harness.report.plots.style import Picture, new_figure, styled

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_DPI = 140


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG with a fixed resolution, or as an SVG document if the path ends with ``.svg``.

    The same figure makes the same bytes.

    Raises
    ------
    OSError
        The file can't be written.
    """
    if path.suffix == ".svg":
        from harness.report.plots.vector import document  # noqa: PLC0415  a run writes no SVG

        write_whole(path, document(figure))
    else:
        write_whole(path, png(figure))


def png(figure: Figure) -> bytes:
    """Give a figure as a PNG file's bytes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return drawn.getvalue()


@styled
def _smallest() -> Picture:
    figure = new_figure(1, 1)
    figure.add_subplot().set_title("0")
    return figure


def warm_up() -> None:
    """Draw a picture and throw it away: the first takes twice as long as the next, for fonts and formats."""
    png(_smallest())

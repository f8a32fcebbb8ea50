"""The look that all plots share: colours, sizes, words, and the exact value that each mark carries.

Figures are drawn with matplotlib's Agg canvas directly; pyplot would keep state and look for a screen.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Without a writable home, matplotlib makes a temporary folder and removes it at exit, which is right,
# and warns of it on standard error each time, which is of no use.
_logger = logging.getLogger("matplotlib")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
finally:
    _logger.setLevel(_level)

NAMED_UP_TO: Final = 40
"""With more instances than this, each can't have a line and a name of its own."""

LIGHT: Final = {
    "ink": "#333333",
    "muted": "#6b6b6b",
    "grid": "#dddddd",
    "paper": "#ffffff",
    "band": "#cfe3f1",
    "interval": "#6f9fbf",
    "blue": "#0072b2",
    "vermilion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "yellow": "#b8a900",
    "even": "#bfe0f5",
    "uneven": "#f7c9a8",
    "inconclusive": "#f4ecb0",
    "mixed": "#e5d3e8",
    "none": "#eeeeee",
}
"""Colours by name, on white; `svg` writes each as the custom property ``--plot-NAME``.

Those of marks are of the palette that colour-blind people tell apart (M. Okabe and K. Ito, "Color Universal
Design", 2008), its yellow darkened so that it is seen on white. Shapes, dashes or words differ as well.
"""

DARK: Final = {
    "ink": "#e6e6e6",
    "muted": "#a8a8a8",
    "grid": "#444444",
    "paper": "#1b1b1b",
    "band": "#1f3d52",
    "interval": "#6f9fbf",
    "blue": "#56b4e9",
    "vermilion": "#ff8a3d",
    "green": "#2fc79b",
    "purple": "#e29ac2",
    "orange": "#f0b429",
    "sky": "#9ad3f5",
    "yellow": "#f0e442",
    "even": "#0b4a70",
    "uneven": "#7a3a08",
    "inconclusive": "#5a5200",
    "mixed": "#553a5c",
    "none": "#333333",
}
"""The same names for a dark page: what its stylesheet sets ``--plot-NAME`` to."""

INK, MUTED, GRID, PAPER = LIGHT["ink"], LIGHT["muted"], LIGHT["grid"], LIGHT["paper"]
BAND, INTERVAL = LIGHT["band"], LIGHT["interval"]
INSIDE, OUTSIDE = LIGHT["blue"], LIGHT["vermilion"]
SERIES: Final = tuple(
    LIGHT[name] for name in ("blue", "vermilion", "green", "purple", "orange", "sky", "yellow", "ink")
)
"""Colours of series, in the order in which they are given out."""
DASHES: Final[tuple[Any, ...]] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))
"""Line styles: the first for the first round of colours, and so on."""

WIDTH: Final = 7.0
"""Of most figures, in inches."""
TEXT, SMALL, TITLE = 10.0, 9.0, 12.0
"""Sizes of text in points; nothing is smaller than the small one."""

_STEPS: Final = (
    (100, (1.0,)),
    (8, (1.0, 2.0, 5.0)),
    (2.5, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)),
    (0, (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)),
)
"""Ticks of a logarithmic axis within a decade, by what its end is to its beginning."""
_RC: Final[Any] = {  # matplotlib types its keys as literals
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "font.size": TEXT,
    "legend.labelcolor": INK,
    "legend.fontsize": SMALL,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.color": INK,
    "ytick.labelsize": SMALL,
}
_P = ParamSpec("_P")


class Picture(Figure):
    """A figure whose marks carry texts: ``tips`` has them by the gid of their artist."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tips: dict[str, tuple[str, ...]] = {}


def styled(draw: Callable[_P, Picture]) -> Callable[_P, Picture]:
    """Let a function draw in the common style, and leave the caller's settings as they were."""

    @functools.wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Picture:
        with rc_context(_RC):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Picture:
    """Make an empty figure; the sizes are in inches."""
    figure = Picture(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, right: float, bottom: float, top: float = 0.35) -> Axes:
    """Add axes with these margins in inches; matplotlib's own layout takes as long as drawing."""
    width, height = figure.get_size_inches()
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure.add_axes(box)


def tip(artist: Artist, text: str | Sequence[str]) -> None:
    """Give a mark its exact value, which `svg` shows when it is pointed at.

    Parameters
    ----------
    artist
        It stands in a figure of `new_figure`.
    text
        What it stands for, such as ``instance-3: 1,234 of 12,000 connections``. For a collection, one
        text for each of its members.
    """
    texts = (text,) if isinstance(text, str) else tuple(text)
    figure = artist.get_figure(root=True)
    if not isinstance(figure, Picture):
        raise TypeError("only artists in a figure of new_figure can have a tip")
    gid = f"tip-{len(figure.tips) + 1}"
    artist.set_gid(gid)
    figure.tips[gid] = texts


def title(axes: Axes, name: str, what: str) -> None:
    """Say whose picture it is, and what it shows."""
    # Told where to stand, the title need not be kept clear of ticks, which takes a fifth of the drawing.
    axes.set_title(f"{plain(name, 40)}: {what}", parse_math=False, fontsize=TITLE, y=1)


def say(axes: Axes, what: str) -> None:
    """Write in the middle of axes that there is nothing to draw in."""
    axes.text(0.5, 0.5, what, ha="center", va="center", transform=axes.transAxes, backgroundcolor=PAPER)


def nothing(axes: Axes, what: str) -> None:
    """Say why there is no data, and take the ticks away, which would measure none."""
    say(axes, what)
    axes.set_xticks([])
    axes.set_yticks([])


def legend_below(figure: Figure, columns: int = 5, **kwargs: Any) -> None:
    """Put the legend below the axes, where it covers no data."""
    figure.legend(
        loc="lower center",
        ncols=columns,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.8,
        borderpad=0.2,
        **kwargs,
    )


def plain(text: str, longest: int = 24) -> str:
    """Shorten, and write what the font may not have as escapes."""
    escaped = text.encode("latin-1", "backslashreplace").decode("latin-1")
    escaped = "".join(char if char.isprintable() else "?" for char in escaped)
    return escaped if len(escaped) <= longest else f"{escaped[: longest - 3]}..."


def milliseconds(value: float) -> str:
    """Write a latency of so many milliseconds."""
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def percent(fraction: float, digits: int = 2) -> str:
    """Write a share."""
    return f"{fraction * 100:.{digits}f} %"


def signed_percent(fraction: float, digits: int = 1) -> str:
    """Write a deviation."""
    # Adding 0 makes the negative zero that rounding leaves a positive one.
    return f"{round(fraction * 100, digits) + 0.0:+.{digits}f} %"


def plain_numbers(axes: Axes, which: str, least: float, most: float) -> None:
    """Make an axis, ``x`` or ``y``, logarithmic from `least` to `most`, with plain numbers."""
    low, high = max(least, 1e-6), max(most, 1e-6)
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    # Within two decades, powers of ten alone would leave one tick or none.
    subs = next(subs for beyond, subs in _STEPS if high / low > beyond)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_grid(axes: Axes, axis: str = "both") -> None:
    """Draw a grid behind the data."""
    axes.grid(axis=axis, color=GRID, linewidth=0.6)  # type: ignore[arg-type]  # of x, y, both
    axes.set_axisbelow(True)

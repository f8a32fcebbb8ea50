"""A figure as SVG: in a page that styles it, or as a document of its own.

What matplotlib writes is taken apart again. Styles become presentation attributes, which a page's Content
Security Policy leaves alone; colours become custom properties that its stylesheet may set; marks carry their
exact values.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

from matplotlib import rc_context

from harness.report.plots.style import LIGHT, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_TOO_MANY_STOPS: Final = 100
_VARIABLES: Final = {colour: f"var(--plot-{name}, {colour})" for name, colour in LIGHT.items()}
_SHAPES: Final = {f"{{{_SVG}}}{name}" for name in ("path", "use")}
_FONT = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif"
_TEXT: Final = f"{{{_SVG}}}text"


def svg(figure: Figure, prefix: str, title: str) -> str:
    """Give a figure as an ``<svg>`` element to be put into an HTML page.

    Parameters
    ----------
    figure
        Whatever this package draws.
    prefix
        What all its ids begin with; it has to differ between the figures of a page, and be a valid id.
    title
        What the figure shows, for screen readers.

    Returns
    -------
    str
        The element. It refers to nothing outside, takes the font of what is around it, and has no
        background. Each colour is ``var(--plot-NAME, …)``, with the names of
        `harness.report.plots.style.LIGHT`. A mark with a tip has the class ``tip``, the text in
        ``data-tip`` and in a ``<title>`` of its own, and can be reached with the Tab key; where there are
        more than a hundred of them, by pointing or a script alone (``tabindex="-1"``). The role is
        ``img``, or ``group`` where marks can be reached: what is within an image is hidden from screen
        readers.

    Raises
    ------
    ValueError
        A collection has other members than texts.
    """
    root = _drawn(figure, prefix)
    _without_background(root)
    _finish(root, figure, prefix, title)
    for element in root.iter():  # in HTML, elements have no prefixes
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    return ET.tostring(root, encoding="unicode")


def document(figure: Figure, title: str = "") -> str:
    """Give a figure as an SVG document of its own, on a white background."""
    root = _drawn(figure, "plot")
    _finish(root, figure, "plot", title or _title_of(figure))
    root.set("font-family", _FONT)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    root.set("xmlns", _SVG)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _title_of(figure: Figure) -> str:
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return next((title for title in titles if title), "plot")


def _drawn(figure: Figure, prefix: str) -> ET.Element:
    """Have matplotlib draw, and parse what it wrote."""
    written = io.StringIO()
    # Ids are hashes of what they stand for and the salt; without a salt, they differ each time.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "path.simplify": True}):
        nobody = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nobody)
    return ET.fromstring(written.getvalue())  # noqa: S314  written by matplotlib in the lines above


def _without_background(root: ET.Element) -> None:
    figure = root.find(f"{{{_SVG}}}g")
    background = None if figure is None else figure.find(f"{{{_SVG}}}g")
    if figure is not None and background is not None:
        figure.remove(background)  # the first patch that is drawn is the figure's own


def _finish(root: ET.Element, figure: Figure, prefix: str, title: str) -> None:
    tips = figure.tips if isinstance(figure, Picture) else {}
    for style in root.findall(f"{{{_SVG}}}defs"):
        if style.find(f"{{{_SVG}}}style") is not None:
            root.remove(style)  # a rule for everything, which would hold for the whole page
    # What that rule says, said here.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "class": "plot"}
    # The viewBox has the size; the page says how much room there is.
    root.attrib.pop("version", None)
    for element in list(root.iter()):
        _restyle(element)
    _attach(root, tips)
    _rename(root, prefix)
    stops = 0 < sum(map(len, tips.values())) <= _TOO_MANY_STOPS
    root.set("role", "group" if stops else "img")
    root.set("aria-labelledby", f"{prefix}-title")
    heading = ET.Element(f"{{{_SVG}}}title", {"id": f"{prefix}-title"})
    heading.text = _clean(title)
    root.insert(0, heading)


def _restyle(element: ET.Element) -> None:
    """Turn an element's style into attributes, its colours into variables, and xlink into plain href."""
    for declaration in filter(None, element.attrib.pop("style", "").split("; ")):
        key, _, value = declaration.partition(": ")
        if key != "font-family":  # it is inherited
            element.set(key, value.strip())
    for key in ("fill", "stroke"):
        if (colour := element.get(key)) in _VARIABLES:
            element.set(key, _VARIABLES[colour])
    if element.tag == _TEXT and "fill" not in element.attrib:
        element.set("fill", _VARIABLES[LIGHT["ink"]])
    if (target := element.attrib.pop(_XLINK_HREF, None)) is not None:
        element.set("href", target)


def _attach(root: ET.Element, tips: dict[str, tuple[str, ...]]) -> None:
    """Write the marks' texts onto them."""
    # A thousand stops would trap readers that go through the page with the Tab key.
    tabindex = "0" if sum(map(len, tips.values())) <= _TOO_MANY_STOPS else "-1"
    groups = {element.get("id"): element for element in root.iter() if element.get("id") in tips}
    for gid, texts in tips.items():
        if (group := groups.get(gid)) is None:
            continue  # it is not visible, or outside the axes
        marks = [group] if len(texts) == 1 else list(_members(group))
        if len(marks) != len(texts):
            raise ValueError(f"{len(texts)} texts for {len(marks)} marks")
        for mark, text in zip(marks, texts, strict=True):
            mark.attrib |= {"class": "tip", "data-tip": _clean(text), "tabindex": tabindex, "role": "img"}
            mark.set("pointer-events", "all")  # what is not filled can be pointed at, too
            told = ET.Element(f"{{{_SVG}}}title")
            told.text = _clean(text)
            mark.insert(0, told)


def _members(group: ET.Element) -> Iterator[ET.Element]:
    """Give a collection's marks in order; those in definitions are only shapes to be used."""
    for child in group:
        if child.tag in _SHAPES:
            yield child
        elif not child.tag.endswith("}defs"):
            yield from _members(child)


def _rename(root: ET.Element, prefix: str) -> None:
    """Put the prefix before each id, and wherever one is meant."""
    for element in root.iter():
        if (name := element.get("id")) is not None:
            element.set("id", f"{prefix}-{name}")
        if (target := element.get("href")) is not None:
            element.set("href", target.replace("#", f"#{prefix}-", 1))
        for key in ("clip-path", "fill"):
            if "url(#" in (value := element.get(key, "")):
                element.set(key, value.replace("url(#", f"url(#{prefix}-", 1))


def _clean(text: str) -> str:
    """Leave out what XML can't hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)

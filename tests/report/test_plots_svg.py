"""Figures as SVG: what a page or a file gets."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import latency_figure
from harness.report.plots.save import save
from harness.report.plots.style import DARK, LIGHT, new_figure, tip
from harness.report.plots.vector import document, svg

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Measure

HOSTILE = '<script>alert("1")</script>&amp;\x1b\x00\n'


def parsed(written: str) -> ET.Element:
    return ET.fromstring(written)  # noqa: S314  the harness wrote it; that it is XML is what is tested


def tips(root: ET.Element) -> list[str]:
    return [element.get("data-tip", "") for element in root.iter() if element.get("class") == "tip"]


def test_each_instance_carries_its_exact_numbers(measure: Measure) -> None:
    """Whoever points at a dot reads counts, share and interval; without a script the browser shows them."""
    _, summary = measure([1234, 866])
    root = parsed(svg(distribution_figure(summary), "d", "shares"))
    first = next(text for text in tips(root) if text.startswith("instance-1"))
    low, high = summary.instances[0].interval or (0, 0)
    assert first.startswith("instance-1: 1,234 of 2,100 connections, 58.76 % (")
    assert f"({low * 100:.2f} to {high * 100:.2f} %)" in first
    marks = [element for element in root.iter() if element.get("class") == "tip"]
    assert len(marks) == 2
    assert all(mark.get("tabindex") == "0" and mark[0].text == mark.get("data-tip") for mark in marks)


def test_hostile_names_stay_text(measure: Measure) -> None:
    """An instance's name can't become markup, nor make the element something that is no XML."""
    _, summary = measure([5, 5], names=[HOSTILE, "b"], name=HOSTILE)
    written = svg(distribution_figure(summary), "d", HOSTILE)
    root = parsed(written)
    assert any(text.startswith('<script>alert("1")</script>&amp;') for text in tips(root))
    assert not any("script" in element.tag for element in root.iter())
    assert "<script" not in written


def test_svg_refers_to_nothing_outside(measure: Measure) -> None:
    """The element loads nothing, has no style of its own, and each reference finds its id."""
    recording, summary = measure([500, 700])
    for figure in (distribution_figure(summary), latency_figure(recording, summary)):
        written = svg(figure, "f1", "a run")
        assert not re.search("https?:|xlink|<style|style=|<\\?xml|<!DOCTYPE|<metadata", written)
        ids = re.findall(' id="([^"]*)"', written)
        assert len(ids) == len(set(ids))
        assert all(name.startswith("f1-") for name in ids)
        referred = re.findall('(?:href="#|url\\(#)([^")]*)', written)
        assert referred
        assert set(referred) <= set(ids)


def test_every_colour_can_be_set_by_the_page(measure: Measure) -> None:
    """All colours are custom properties whose fallback is the light palette's, for text, too."""
    recording, summary = measure([500, 700])
    for figure in (distribution_figure(summary), latency_figure(recording, summary)):
        root = parsed(svg(figure, "f1", "a run"))
        for element in root.iter():
            for key in ("fill", "stroke"):
                value = element.get(key, "none")
                assert value == "none" or re.fullmatch("var\\(--plot-[a-z]+, #[0-9a-f]{6}\\)", value)
        assert all(text.get("fill") for text in root.iter("text"))


def test_two_figures_of_a_page_share_no_id(measure: Measure) -> None:
    """The same picture twice, with two prefixes, is twice on its own."""
    _, summary = measure([5, 6])
    one, two = (set(re.findall(' id="([^"]*)"', svg(distribution_figure(summary), p, "t"))) for p in "ab")
    assert one
    assert one.isdisjoint(two)


def test_the_element_has_a_name(measure: Measure) -> None:
    """Its title says what it shows; marks that can be reached are not hidden within an image."""
    _, summary = measure([5, 6])
    root = parsed(svg(distribution_figure(summary), "d", "shares of two"))
    assert root.get("role") == "group"
    named = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert named[root.get("aria-labelledby")] == "shares of two"
    plain = new_figure(2, 2)
    assert parsed(svg(plain, "p", "nothing")).get("role") == "img"


def test_a_thousand_marks_are_no_thousand_stops(measure: Measure) -> None:
    """Each of a thousand instances has its numbers, but the Tab key need not pass them all."""
    _, summary = measure(np.random.default_rng(1).poisson(50, 1000).tolist())
    root = parsed(svg(distribution_figure(summary), "d", "shares"))
    assert len(tips(root)) == 1000
    assert {mark.get("tabindex") for mark in root.iter() if mark.get("class") == "tip"} == {"-1"}


def test_texts_must_match_the_marks() -> None:
    """A collection with fewer texts than members would show wrong numbers: it is refused."""
    figure = new_figure(2, 2)
    tip(figure.add_subplot().scatter([1, 2, 3], [1, 2, 3]), ["one", "two"])
    with pytest.raises(ValueError, match="2 texts for 3 marks"):
        svg(figure, "x", "x")


@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_the_same_run_makes_the_same_bytes(tmp_path: Path, measure: Measure, ending: str) -> None:
    """Files can be compared and kept under version control: nothing of them is a time or by chance."""
    recording, summary = measure([500, 700])
    for number in (1, 2):
        save(distribution_figure(summary), tmp_path / f"d{number}{ending}")
        save(latency_figure(recording, summary), tmp_path / f"l{number}{ending}")
    for name in "dl":
        first = (tmp_path / f"{name}1{ending}").read_bytes()
        assert first == (tmp_path / f"{name}2{ending}").read_bytes()


def test_a_file_is_a_document_of_its_own(measure: Measure) -> None:
    """It has a namespace, a font and a white background, and its text is text."""
    _, summary = measure([500, 700])
    root = parsed(
        document(distribution_figure(summary)).removeprefix('<?xml version="1.0" encoding="utf-8"?>')
    )
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "sans-serif" in root.get("font-family", "")
    assert any(path.get("fill") == "var(--plot-paper, #ffffff)" for path in root.iter())
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert "instance-1" in texts


def luminance(colour: str) -> float:
    """Give the relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read_on_their_background(palette: dict[str, str]) -> None:
    """Text has the contrast of WCAG's level AA on paper and cells; what marks data can be seen, too."""
    assert set(palette) == set(LIGHT)
    for background in ("paper", "even", "uneven", "inconclusive", "mixed", "none"):
        assert contrast(palette["ink"], palette[background]) >= 4.5
    assert contrast(palette["muted"], palette["paper"]) >= 4.5
    for name in ("blue", "vermilion", "green"):
        assert contrast(palette[name], palette["paper"]) >= 3

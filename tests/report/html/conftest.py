"""Pages of made-up results, and a browser that shows them."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from harness.report.html import find_results, render_page
from tests.gate.conftest import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

__all__ = ["stored"]

_FLAGS = (
    "--no-sandbox",  # Chromium refuses root with it, and shows nothing but the page that the test made
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Page(HTMLParser):
    """A page taken apart: its elements, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input", "br"}:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(self.texts["main"][-1].split())


@pytest.fixture
def page() -> Callable[..., Page]:
    """Make the page of these results, and take it apart."""
    return lambda *paths: Page(render_page(find_results(paths)))


@pytest.fixture
def copies(tmp_path: Path) -> Callable[..., Path]:
    """Give a folder with copies of results, each begun at a time of its own."""

    def copy(number: int, *sources: Path) -> Path:
        suite = tmp_path / "suite"
        for i in range(number):
            source = sources[i % len(sources)]
            folder = shutil.copytree(source, suite / f"{source.name}-{i:03}")
            summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
            summary["started_at"] = f"2026-02-01T{i // 60:02}:{i % 60:02}:00+00:00"
            (folder / "summary.json").write_text(json.dumps(summary))
        return suite

    return copy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a Chromium; it ends with the tests of the module, and so does whatever it started."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS)
        yield chromium
        chromium.close()

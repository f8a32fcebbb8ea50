"""The documentation makes a site without a warning, which needs nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the site as `make site` does, elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    finished = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert "WARNING" not in finished.stderr
    return folder


class _Page(HTMLParser):
    """What a page loads, what it links to, and the paragraphs that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.paragraphs: list[str] = []
        self._in_paragraph = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if loaded := values.get("src") or (tag == "link" and values.get("href")):
            self.loads.append(str(loaded))
        if tag == "a" and (link := values.get("href")):
            self.links.append(link)
        if tag == "p":
            self._in_paragraph = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_paragraph = self._in_paragraph and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._in_paragraph:
            self.paragraphs[-1] += data


def test_every_page_is_there_and_begins_with_the_readme(site: Path) -> None:
    """Also the files of the repository that pages link to."""
    pages = {path.stem for path in (_ROOT / "docs").glob("*.md")}
    assert {path.stem for path in site.glob("*.html")} == pages | {"index", "404"}
    assert "measures every way to put several copies" in (site / "index.html").read_text("utf-8")
    assert "strategy: dnat-random" in (site / "repository/scenarios/dnat-10.yaml.html").read_text("utf-8")
    assert "sameport_flow_hash.py.html" in (site / "repository/docs/example-strategy.html").read_text("utf-8")


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture; style sheets import none, either."""
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        loads = _Page(page.read_text("utf-8")).loads
        assert loads
        if page.name != "404.html":  # a server shows it at any address, so its own begin at the root
            assert not [address for address in loads if re.match(r"[a-z]+:|/", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:|//)", sheet.read_text("utf-8")), sheet


def test_site_keeps_lists_and_tables(site: Path) -> None:
    """Where Markdown is stricter in the site than in the repository, a line is lost in a paragraph."""
    for page in site.glob("*.html"):
        for paragraph in _Page(page.read_text("utf-8")).paragraphs:
            assert not re.search(r"^(- |\d+\. |\||```)", paragraph, re.MULTILINE), (page.name, paragraph)


def test_links_to_files_lead_somewhere(site: Path) -> None:
    """Those that stay as they are, too, such as to schemas and within pages of the repository."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in _Page(page.read_text("utf-8")).links:
            target = link.partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), (page.name, link)

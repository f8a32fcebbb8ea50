"""The page in a real browser: what it does, how it looks, and that it keeps to itself."""

from __future__ import annotations

import json
import re
import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python
import pytest

from harness.report.html import find_results, render_page
from harness.results.journal import APPLIED
from tests.report.test_events import event, required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.gate.conftest import Stored

    Show = Callable[..., Page]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
COUNTS = {"one": [[8000, 4100, 4000, 4050]], "several": [[5000] * 4, [8000, 4000, 4000, 4000], [100] * 4]}

_DEADLINE_MS = 120_000  # for whatever is waited for, on a busy machine

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def heard() -> list[str]:
    """Collect what pages say on their console, throw, or ask the network for."""
    return []


@pytest.fixture
def quiet(heard: list[str]) -> Iterator[None]:
    """See to it that no page of any test complains, or asks for anything."""
    yield
    assert heard == []


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Keep the pages that were rendered: they are the same for all tests."""
    return {}


@pytest.fixture
def pages(
    stored: Stored, copies: Callable[..., Path], tmp_path: Path, texts: dict[str, str]
) -> Callable[[str], Path]:
    """Write the page of one result, of several, or of a suite."""

    def write(kind: str) -> Path:
        if kind not in texts:
            texts[kind] = rendered(kind)
        target = tmp_path / f"{kind}.html"
        target.write_text(texts[kind], encoding="utf-8")
        return target

    def rendered(kind: str) -> str:
        folders = [
            stored(counts, change={"events": (event(),), "recovers": required("no")})
            for counts in COUNTS["several" if kind == "suite" else kind]
        ]
        steps = [
            {"during": "expose", "at_s": 0, "step": {"kind": "write", "path": "/run/x", "text": "y " * 400}}
        ]
        for folder in folders:
            (folder / APPLIED).write_text(json.dumps({"schema": 1, "steps": steps}))
        if kind == "suite":
            folders = [copies(9, *folders)]
        return render_page(find_results(folders))

    return write


@pytest.fixture
def show(browser: Browser, heard: list[str], pages: Callable[[str], Path]) -> Iterator[Show]:
    """Open a page in a context of its own."""
    contexts = []

    def opened(kind: str | Path, *, width: int = 1280, fragment: str = "", **options: Any) -> Page:
        target = kind if isinstance(kind, Path) else pages(kind)
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.set_default_timeout(_DEADLINE_MS)
        page = context.new_page()
        own = target.as_uri()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.split("#")[0] in {own, "data:,"} else heard.append(f"request: {asked.url}")
            ),
        )
        page.goto(own + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()


def _column(page: Page, table: str, number: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr:visible > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_click_sorts_by_numbers_and_another_turns_the_order_around(show: Show) -> None:
    page = show("one")
    header = page.locator("#r1-instances thead th").nth(1)
    button = header.get_by_role("button")
    assert header.get_attribute("aria-sort") == "none"
    button.click()
    assert _column(page, "r1-instances", 2) == ["8,000", "4,100", "4,050", "4,000"]
    assert header.get_attribute("aria-sort") == "descending"
    button.click()
    assert _column(page, "r1-instances", 2) == ["4,000", "4,050", "4,100", "8,000"]
    assert header.get_attribute("aria-sort") == "ascending"
    page.locator("#r1-instances thead button").first.click()
    assert _column(page, "r1-instances", 1) == [f"instance-{i}" for i in range(1, 5)]
    assert header.get_attribute("aria-sort") == "none"


def test_the_keyboard_sorts_too(show: Show) -> None:
    page = show("several")
    button = page.get_by_role("button", name="worst deviation")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert page.locator("#overview [aria-sort=ascending]").inner_text() == "worst deviation"
    deviations = _column(page, "overview", 6)
    assert deviations[-1] == "+60.0 %"
    assert len(deviations) == 3


def test_names_sort_as_people_count(show: Show, stored: Stored, tmp_path: Path) -> None:
    """Number ten comes after two."""
    target = tmp_path / "many.html"
    target.write_text(render_page(find_results([stored([50] * 12)])), encoding="utf-8")
    page = show(target)
    page.locator("#r1-instances thead button").first.click()
    assert _column(page, "r1-instances", 1) == [f"instance-{i}" for i in range(1, 13)]


def test_the_filter_keeps_the_rows_that_have_all_words_and_counts_them(show: Show) -> None:
    page = show("several")
    box = page.get_by_label("Filter “All results”")
    count = page.locator("#overview-filter ~ output")
    assert count.inner_text() == "3 of 3 rows"
    assert count.get_attribute("aria-live") == "polite"
    box.fill("dnat UNEVEN")
    assert count.inner_text() == "1 of 3 rows"
    assert _column(page, "overview", 3) == ["uneven"]
    box.fill("nobody")
    assert count.inner_text() == "0 of 3 rows"
    box.fill("")
    assert len(_column(page, "overview", 1)) == 3


def test_a_mark_tells_its_exact_value_under_the_pointer_and_in_focus(show: Show) -> None:
    page = show("one")
    tip, marks = page.locator("#tip"), page.locator("svg .tip")
    assert tip.is_hidden()
    mark = page.locator("svg .tip[data-tip^='instance-1: 8,000']").first
    mark.hover()
    assert tip.inner_text().startswith("instance-1: 8,000 of 20,150 connections")
    page.mouse.move(1, 1)
    assert tip.is_hidden()
    mark.focus()
    assert tip.is_visible()
    assert mark.get_attribute("aria-describedby") == "tip"
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    assert mark.get_attribute("aria-describedby") is None
    assert marks.count() == page.locator("svg .tip[aria-label]").count() > 4


def test_a_tip_stays_within_a_narrow_page(show: Show) -> None:
    page = show("one", width=360)
    for mark in page.locator("svg .tip[tabindex='0']").all()[:8]:
        mark.focus()
        box = page.locator("#tip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


def test_a_link_opens_the_result_that_it_leads_to(show: Show) -> None:
    page = show("several")
    result = page.locator("#r2")
    assert result.get_attribute("open") is None
    page.locator("#overview a[href='#r2']").click()
    page.locator("#r2[open]").wait_for()
    direct = show("several", fragment="#r3")
    direct.locator("#r3[open]").wait_for()
    assert direct.locator("#r1[open]").count() == 0


def test_without_a_script_everything_is_there(show: Show) -> None:
    page = show("one", java_script_enabled=False)
    assert _column(page, "r1-instances", 2) == ["8,000", "4,100", "4,000", "4,050"]
    assert page.locator("thead button, .filter").count() == 0
    assert page.locator("svg .tip title").count() > 4


@pytest.mark.parametrize("kind", ["one", "several", "suite"])
def test_a_phone_scrolls_tables_but_never_the_page(kind: str, show: Show) -> None:
    page = show(kind, width=320)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].some((o) => o.scrollWidth > o.clientWidth)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["one", "several", "suite"])
def test_page_passes_the_accessibility_checks(kind: str, scheme: Any, show: Show) -> None:
    """Axe finds neither a missing name nor a contrast below 4.5, with everything open, in both schemes."""
    page = show(kind, color_scheme=scheme, bypass_csp=True)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.evaluate(AXE)
    # Only colours differ between the schemes.
    options = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if scheme == "dark" else {})
    found = page.evaluate("(options) => axe.run(document, options)", options)
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    passed = {one["id"] for one in found["passes"]}
    assert passed == {"color-contrast"} or {"color-contrast", "button-name", "label"} <= passed


def test_dark_mode_turns_page_and_plots_dark(show: Show) -> None:
    colours = """() => [document.body, document.querySelector('svg text')].map((one) => {
        const style = getComputedStyle(one);
        return [style.backgroundColor, style.color, style.fill];
    })"""

    def read(**options: Any) -> tuple[float, float, float]:
        (back, ink, _), (_, _, fill) = show("one", **options).evaluate(colours)
        return _luminance(back), _luminance(ink), _luminance(fill)

    light, dark = read(color_scheme="light"), read(color_scheme="dark")
    assert light[0] > 0.9
    assert max(light[1:]) < 0.1
    assert dark[0] < 0.1
    assert min(dark[1:]) > 0.6


def _luminance(colour: str) -> float:
    """Give the relative luminance of an sRGB colour (WCAG 2.2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("script", [True, False])
def test_paper_shows_what_was_folded_away_on_white(script: bool, show: Show) -> None:
    page = show("several", color_scheme="dark", java_script_enabled=script)
    folded = page.locator("#r1 details pre").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))") if script else None
    box = folded.bounding_box()
    assert box is not None
    assert box["height"] > 20
    assert folded.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".filter:visible").count() == 0


def test_the_policy_keeps_foreign_scripts_styles_and_requests_out(
    show: Show, heard: list[str], pages: Callable[[str], Path]
) -> None:
    """Were something from outside to get into the page, it still could do nothing."""
    target = pages("one")
    server = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
    evil = (
        f"<script>document.title = 'taken'</script><img src='{address}' onerror='document.title=1'>"
        "<style>body { color: red }</style>"
    )
    target.write_text(target.read_text().replace("</main>", f"{evil}</main>"))
    page = show(target)
    assert page.title() == "made-up: sameport report"
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    refused = [line for line in heard if "Content Security Policy" in line]
    assert len(refused) >= 3
    assert [line for line in heard if line not in refused] == [f"request: {address}"]
    with server:
        assert select.select([server], [], [], 0)[0] == []  # it was refused before anybody was asked
    heard.clear()


def test_hostile_names_are_text_and_nothing_else(show: Show, stored: Stored, tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    folders = [stored([500] * 2, names=[name, '" onfocus=alert(3) x="'], change={"name": name}) for _ in "12"]
    target = tmp_path / "hostile.html"
    target.write_text(render_page(find_results(folders)), encoding="utf-8")
    page = show(target)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.locator("svg .tip").last.focus()
    assert page.evaluate("document.scripts.length") == 1
    assert page.locator("img").count() == 0
    assert page.locator("#r1-instances tbody th").first.inner_text() == name

"""The page itself: what is in it, how much of it, and how it is written down.

All text goes through Jinja2's escaping, and characters that could hide or turn text around are written as
escapes. The page holds its style sheet and its script, and a Content Security Policy that knows both by their
hashes and allows nothing else: no request, no other script, no frame, no form.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from harness._version import __version__
from harness.common.text import printable
from harness.report.events import event_facts, recovers_fact
from harness.report.html import pictures, tables, words
from harness.report.plan import titled
from harness.report.terminal import facts_of
from harness.results.journal import APPLIED
from harness.summary.outcome import not_as_expected

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.results.stored import Found, Stored
    from harness.summary.run import Summary

_ROWS = 4_000
_APPLIED = 600_000
_SCENARIOS = 400_000
"""Rows of instances, and characters of rules and of scenarios, that a page has at most, over all results."""
_LEAST_ROWS, _MOST_ROWS = 20, 2_000
_MOST_TEXT = 60_000
_GENERATOR = frozenset({"generator", "workers", "lag", "unsent", "resent"})
_ELSEWHERE = frozenset(
    {"warning", "not passed", "verdict", "expected", "event", "recovers", "route", "misrouted"}
)
_DIFFERENCES = 20


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a text, and what was left out of it."""

    text: str
    note: str = ""


def render_page(found: Found) -> str:
    """Write the page.

    Parameters
    ----------
    found
        One result or more.

    Returns
    -------
    str
        An HTML document that needs no other file.

    Raises
    ------
    ResultError
        A part of a result can't be read.
    """
    results = found.results
    style, script = pictures.variables() + _text("page.css"), _text("page.js")
    summaries = [one.summary for one in results]
    several = len(results) > 1
    page: dict[str, Any] = {
        "style": Markup(style),  # noqa: S704  the project's own
        "script": Markup(script),  # noqa: S704  the project's own
        "policy": _policy(style, script),
        "title": f"{len(results):,} results" if several else results[0].summary.name,
        "several": several,
        "made": f"sameport {__version__}, {datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC",
        "results": [_section(number, one, len(results)) for number, one in enumerate(results, 1)],
        "incomplete": list(dict.fromkeys(folder.name for folder in found.incomplete)),
    }
    if several:
        page |= {
            "verdict": "even" if all(summary.passed for summary in summaries) else "uneven",
            "headline": words.headline_of_all(summaries),
            "meaning": list(words.meaning_of_all(summaries)),
            "wrong": [
                (number, one, not_as_expected(one.summary))
                for number, one in enumerate(results, 1)
                if not one.summary.passed
            ],
            "overview": tables.overview(results),
            "matrix": tables.matrix(results),
            "events": tables.events(results, _MOST_ROWS),
            "pictures": pictures.of_all(results),
            "plots_left_out": len(results) > pictures.DRAWN_UP_TO,
            "drawn_up_to": pictures.DRAWN_UP_TO,
        }
    # What comes before the document are the ends of lines that define macros.
    return _environment().get_template("page.html.j2").render(page).lstrip()


def _section(number: int, one: Stored, results: int) -> dict[str, Any]:
    """Give what the page says of one result."""
    key, summary = f"r{number}", one.summary
    facts = _facts(summary)
    return {
        "key": key,
        "name": one.name,
        "summary": summary,
        "headline": words.headline(summary),
        "meaning": list(words.meaning(summary)),
        "next": list(words.next_steps(summary)),
        "figures": _figures(summary),
        "events": _events(summary),
        "routes": tables.routes(key, summary),
        "instances": tables.instances(key, summary, min(max(_ROWS // results, _LEAST_ROWS), _MOST_ROWS)),
        "pictures": pictures.of_one(key, one) if results <= pictures.DRAWN_UP_TO else [],
        "facts": [fact for fact in facts if fact[0] not in _GENERATOR | _ELSEWHERE],
        "generator": [fact for fact in facts if fact[0] in _GENERATOR],
        "witnesses": tables.witnesses(key, summary),
        "differences": summary.witnesses.differences[:_DIFFERENCES],
        "more_differences": max(len(summary.witnesses.differences) - _DIFFERENCES, 0),
        "scenario": excerpt(
            one.scenario_text(), min(_SCENARIOS // results, _MOST_TEXT), one.whole("scenario.yaml")
        ),
        "applied": _applied(one, min(_APPLIED // results, _MOST_TEXT)),
        "versions": tables.versions(key, summary),
        "phases": tables.phases(key, summary),
    }


def _figures(summary: Summary) -> list[tuple[str, str]]:
    """Give the key figures."""
    latency = summary.latency_ns

    def milliseconds(value: int | None) -> str:
        return "no success" if value is None else f"{value / 1e6:.3g} ms"

    return [
        ("worst deviation", words.deviation_text(words.worst_deviation(summary))),
        ("usual latency (p50)", milliseconds(latency.p50)),
        ("slow latency (p99)", milliseconds(latency.p99)),
        ("throughput", f"{summary.throughput_per_s:,.0f} requests/s"),
        ("failed requests", f"{summary.counts.errors:,} of {summary.counts.requests:,}"),
    ]


def _events(summary: Summary) -> list[tuple[str, list[str]]]:
    """Tell what happened to instances and what it cost, and whether that is what the scenario allows."""
    told = [[text for _, text, _ in event_facts(event, "utf-8")] for event in summary.events]
    named = [(f"event {number}", lines) for number, lines in enumerate(told, 1)]
    if summary.recovers is not None:
        label, text, _ = recovers_fact(summary.recovers)
        named.append((label, [text]))
    return named


def _facts(summary: Summary) -> list[tuple[str, list[str]]]:
    """Give what the terminal shows, a label and its lines each."""
    facts: list[tuple[str, list[str]]] = []
    for label, text, _ in facts_of(summary):
        if facts and label in {"", facts[-1][0]}:
            facts[-1][1].append(text)
        else:
            facts.append((label, [text]))
    return facts


def _applied(one: Stored, most: int) -> list[tuple[str, Excerpt]] | None:
    """Give each step's title and text, up to so many characters in all; None where nothing is known."""
    applied = one.applied()
    if applied is None:
        return None
    steps: list[tuple[str, Excerpt]] = []
    for number, noted in enumerate(applied.steps):
        if most <= 0:
            left = f"{len(applied.steps) - number:,} more steps"
            steps.append((f"{left} are left out here; {one.whole(APPLIED)} has them all", Excerpt("")))
            break
        title, text = titled(noted.step)
        when = f"{noted.at_s:.1f} s later, " if noted.during == "update" else ""
        shown = excerpt(text, most, one.whole(APPLIED))
        steps.append((f"{when}{excerpt(title, 2_000, '').text}", shown))
        most -= len(shown.text) + len(title)
    return steps


def excerpt(text: str, most: int, whole: str) -> Excerpt:
    """Cut a text at the end of a line, if it has more characters than this, and say what was left out."""
    text = text.strip("\n")
    if len(text) <= most:
        return Excerpt(text)
    end = max(text.rfind("\n", 0, most), 0) or most
    left = text[end:].strip("\n")
    lines = left.count("\n") + 1
    return Excerpt(
        text[:end],
        f"{lines:,} more line{'' if lines == 1 else 's'} ({len(left):,} characters) left out here; "
        f"{whole} has all.",
    )


def _policy(style: str, script: str) -> str:
    """Allow this style sheet and this script, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    # Browsers hash what is between the tags, with each line's end as a line feed.
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


@cache
def _text(name: str) -> str:
    return files("harness.report.html").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only reports need it here

    environment = Environment(
        loader=PackageLoader("harness.report.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    environment.filters["lines"] = _lines
    return environment


def _harmless(value: Any) -> Any:
    """Write as escapes what is no visible character; markup of the page's own stays as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Make each line of a text harmless; lines stay lines."""
    return Markup("\n").join(escape(printable(line.expandtabs())) for line in text.split("\n"))

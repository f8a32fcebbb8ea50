"""What checks came to: for people, for CI systems that read JUnit, for GitHub, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.gate.checks import Check

_STYLES = {"passed": "green", "failed": "bold red", "inconclusive": "bold yellow"}
_MARKUP = frozenset("&\\`*_{}[]<>()#+!|~")
_MARKS = {"passed": "✅", "failed": "❌", "inconclusive": "❔"}


def overall(checks: Sequence[Check]) -> str:
    """Give the status of all checks together: that of the worst."""
    found = {check.status for check in checks}
    return next(status for status in ("failed", "inconclusive", "passed") if status in found)


def closing_line(checks: Sequence[Check]) -> str:
    """Sum up in one line."""
    counts = {status: sum(check.status == status for check in checks) for status in _STYLES}
    parts = [f"{count:,} {status}" for status, count in counts.items() if count]
    return f"{overall(checks)}: {', '.join(parts)}"


def render_checks(checks: Sequence[Check], console: Console) -> None:
    """Print a table of all checks, and what they come to."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("result", "check", "status", "what was found"):
        table.add_column(header, overflow="fold")
    before = None
    for check in checks:
        result = "" if check.result == before else check.result
        before = check.result
        table.add_row(
            Text(printable(result, console.encoding)),
            check.name,
            Text(check.status, _STYLES[check.status]),
            Text(printable(check.detail, console.encoding)),
        )
    console.print(table)
    console.print(Text(closing_line(checks), _STYLES[overall(checks)]))


def as_json(checks: Sequence[Check]) -> str:
    """Give all checks as one line of JSON."""
    found = [
        {"result": check.result, "check": check.name, "status": check.status, "detail": check.detail}
        for check in checks
    ]
    return json.dumps({"schema": 1, "status": overall(checks), "checks": found})


def as_junit(checks: Sequence[Check]) -> str:
    """Give all checks as JUnit's XML: a suite for each result, a test case for each check.

    An inconclusive check is a failure of type `inconclusive`: JUnit knows no third answer, and what
    was not shown has not passed.
    """
    counts = {"tests": len(checks), "failures": sum(check.status != "passed" for check in checks)}
    root = ET.Element("testsuites", {"name": "sameport", **{key: str(n) for key, n in counts.items()}})
    for result in dict.fromkeys(check.result for check in checks):
        own = [check for check in checks if check.result == result]
        failures = sum(check.status != "passed" for check in own)
        attributes = {"name": _xml(result), "tests": str(len(own)), "failures": str(failures), "errors": "0"}
        suite = ET.SubElement(root, "testsuite", attributes)
        for check in own:
            case = ET.SubElement(suite, "testcase", {"classname": _xml(result), "name": check.name})
            if check.status == "passed":
                ET.SubElement(case, "system-out").text = _xml(check.detail)
            else:
                failure = ET.SubElement(
                    case, "failure", {"type": check.status, "message": _xml(check.detail)}
                )
                failure.text = _xml(check.detail)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def as_annotations(checks: Sequence[Check]) -> list[str]:
    """Give GitHub's workflow commands: an error for each check that failed, a warning where unknown."""
    commands = {"failed": "error", "inconclusive": "warning"}
    lines = []
    for check in checks:
        if check.status != "passed":
            title = _property(f"{check.result}: {check.name}")
            lines.append(f"::{commands[check.status]} title={title}::{_data(check.detail)}")
    return lines


def as_markdown(checks: Sequence[Check]) -> str:
    """Give a table for a step's summary on GitHub."""
    lines = [
        f"### sameport: {closing_line(checks)}",
        "",
        "| result | check | | what was found |",
        "|---|---|---|---|",
    ]
    for check in checks:
        cells = (
            _cell(check.result),
            check.name,
            f"{_MARKS[check.status]} {check.status}",
            _cell(check.detail),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _xml(text: str) -> str:
    """Write as escapes what XML 1.0 can't hold even as a reference."""
    return printable(text)


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Keep a text from being read as Markdown or HTML."""
    return "".join(f"&#{ord(char)};" if char in _MARKUP else char for char in printable(text))

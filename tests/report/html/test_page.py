"""What a report's page holds, and that nothing from outside becomes a part of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness.report.html.page import excerpt
from harness.results.archive import RUNS
from harness.results.journal import APPLIED
from harness.summary.events import Recovers
from harness.summary.run import Counts, Generator, Witnesses, WitnessTotals
from tests.report.test_events import event, required

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Harness
    from tests.gate.conftest import Stored
    from tests.report.html.conftest import Page

    Read = Callable[..., Page]
    Copies = Callable[..., Path]

EVEN, UNEVEN, UNKNOWN = [5000] * 4, [8000, 4000, 4000, 4000], [500, 520, 500, 480]
_HOSTILE = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--"


@pytest.mark.parametrize(
    ("counts", "first"),
    [
        (EVEN, "Even: every instance got its share."),
        (UNEVEN, "Uneven: not every instance got its share."),
        (UNKNOWN, "Inconclusive: this run shows neither."),
        ([100], "Even: there is one instance, so there is nothing to share."),
    ],
)
def test_the_verdict_comes_first_and_in_words(
    counts: list[int], first: str, stored: Stored, page: Read
) -> None:
    made = page(stored(counts))
    assert made.texts["h1"] == [first]
    assert made.text.index(first) < 100
    assert f"{sum(counts):,} connections went to {len(counts)} instance" in made.text


def test_a_verdict_that_was_expected_is_said_to_be(stored: Stored, page: Read) -> None:
    made = page(stored(UNEVEN, expect="uneven"))
    assert "The scenario expects “uneven”, so the verdict is as expected." in made.text


_NOBODY = WitnessTotals(connections=1, requests=1)


@pytest.mark.parametrize(
    ("counts", "change", "advice"),
    [
        (UNKNOWN, {}, "harness plan prints how many units it needs"),
        (UNEVEN, {}, "another strategy may do better"),
        (EVEN, {}, "harness baseline"),
        (EVEN, {"interrupted": True}, "The run was interrupted"),
        (EVEN, {"generator": Generator(cpu_fraction=0.99, limited=True)}, "--workers 2"),
        (
            EVEN,
            {
                "counts": Counts(connections=9, requests=20_000, sources=1, errors=7),
                "errors": {"timed out": 4, "refused": 3},
            },
            r"7 of 20,000 requests failed \(4 timed out; 3 refused\)",
        ),
        (
            EVEN,
            {
                "witnesses": Witnesses(
                    client=_NOBODY,
                    instances=_NOBODY,
                    kernel=None,
                    proxy=None,
                    agree=False,
                    differences=("instance-1: 5 against 6",),
                )
            },
            r"The witnesses \(the counters below\) do not agree",
        ),
    ],
)
def test_page_names_the_next_step(
    counts: list[int], change: dict[str, Any], advice: str, stored: Stored, page: Read
) -> None:
    assert re.search(advice, page(stored(counts, change=change)).text)


def test_page_states_how_much_longer_to_measure(stored: Stored, page: Read) -> None:
    folder = stored(UNKNOWN)
    summary = json.loads((folder / "summary.json").read_text())
    summary["tests"]["tolerance"] |= {"more_units": 14_054, "more_seconds": 6.8}
    (folder / "summary.json").write_text(json.dumps(summary))
    assert "Measure longer: 14,054 more connections would decide, 6.8 s at the measured" in page(folder).text


def test_the_table_has_every_instance_and_values_to_sort_by(stored: Stored, page: Read) -> None:
    made = page(stored(UNEVEN))
    cells = [attributes for tag, attributes in made.elements if tag == "td"]
    values = [attributes.get("data-value") for attributes in cells]
    assert values.count("8000") == 2  # connections and requests
    assert [name for name in made.texts["th"] if name.startswith("instance-")] == [
        f"instance-{i}" for i in range(1, 5)
    ]
    assert "40.00 %" in made.texts["td"]
    assert "+60.0 %" in made.texts["td"]


def test_warnings_tests_scenario_versions_and_self_check_are_there(stored: Stored, page: Read) -> None:
    observed = {"warnings": ["the machine was busy"], "versions": {"kernel": "6.1.2", "nginx": "1.2.3"}}
    made = page(stored(EVEN, observed=observed))
    for part in (
        "the machine was busy",
        "chi-square0.00, 3 degrees of freedom",
        "name: made-up",
        "nginx1.2.3",
        "wire, 45 % of a core",
        "client alone: no other counter",
    ):
        assert part in made.text


def test_page_lists_events_with_their_impact(stored: Stored, page: Read) -> None:
    """In sight, and not among what has to be opened; whose time the verdict is on is said with it."""
    met = required("no", reason="45 of 2,500 requests lost")
    made = page(stored(EVEN, change={"events": (event(),), "recovers": met}))
    assert "the time before the first event" in made.text
    assert "What happened meanwhile" in made.texts["h3"]
    assert any("kill instance-4" in text for text in made.texts["dd"])
    assert any("no: 45 of 2,500 requests lost" in text for text in made.texts["dd"])
    assert "What happened meanwhile" not in page(stored(EVEN)).text


def test_steps_are_shown_as_they_were_applied(stored: Stored, page: Read) -> None:
    folder = stored(EVEN)
    steps = [
        {"during": "expose", "at_s": 0, "step": {"kind": "run", "argv": ["nft", "-f", "-"], "text": "a\nb"}},
        {"during": "update", "at_s": 2.5, "step": {"kind": "write", "path": "/run/x", "text": "server y;"}},
    ]
    (folder / APPLIED).write_text(json.dumps({"schema": 1, "steps": steps}))
    made = page(folder)
    assert "run nft -f -, whose standard input is" in made.texts["code"]
    assert "2.5 s later, write /run/x" in made.texts["code"]
    assert {"a\nb", "server y;"} <= set(made.texts["pre"])


def test_an_older_result_without_the_steps_is_reported_all_the_same(stored: Stored, page: Read) -> None:
    assert "or older than the harness's noting them" in page(stored(EVEN)).text


def test_the_page_refers_to_nothing_outside_itself(stored: Stored, page: Read) -> None:
    made = page(stored(EVEN), stored(UNEVEN))
    ids = {attributes["id"] for _, attributes in made.elements if "id" in attributes}
    for tag, attributes in made.elements:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "poster", "style"}, tag
        assert not [key for key in attributes if key.startswith("on")]
        href = attributes.get("href") or attributes.get("xlink:href") or "data:,"
        assert href == "data:," or href[1:] in ids, href
    assert len(ids) == sum("id" in attributes for _, attributes in made.elements)
    assert not re.search(r"@import|url\((?!#)", made.source)


def test_the_policy_allows_the_pages_own_style_and_script_alone(stored: Stored, page: Read) -> None:
    made = page(stored(EVEN))
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in made.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for tag in ("style", "script"):
        (text,) = made.texts[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_page_escapes_text_from_outside(stored: Stored, page: Read) -> None:
    """Names, warnings, versions, errors, the scenario and the rules are all somebody else's words."""
    names = [_HOSTILE, '"><svg onload=alert(3)>', "\u202egnp.exe", "a&b"]
    change = {
        "name": _HOSTILE,
        "strategy": _HOSTILE,
        "reason": _HOSTILE,
        "host": _HOSTILE,
        "errors": {_HOSTILE: 2},
        "counts": Counts(connections=9, requests=20_000, sources=1, errors=2),
        "warnings": (_HOSTILE, "two\x00\x1b[31m"),
        "versions": {_HOSTILE: _HOSTILE},
        "witnesses": Witnesses(
            client=_NOBODY, instances=None, kernel=None, proxy=None, agree=False, differences=(_HOSTILE,)
        ),
    }
    plain, folder = page(stored(EVEN)), stored(EVEN, names=names, change=change)
    (folder / "scenario.yaml").write_text(f"headers: {{X: {_HOSTILE}}}\nb: \u202e\x07\n")
    step = {"kind": "write", "path": _HOSTILE, "text": f"{_HOSTILE}\n\x1b[31m"}
    steps = {"schema": 1, "steps": [{"during": "expose", "at_s": 0, "step": step}]}
    (folder / APPLIED).write_text(json.dumps(steps))
    made = page(folder)
    assert {tag for tag, _ in made.elements} <= {tag for tag, _ in plain.elements} | {"ol", "code"}
    assert len(made.texts["script"]) == 1
    assert made.texts["script"] == plain.texts["script"]
    assert not [key for _, attributes in made.elements for key in attributes if key.startswith("on")]
    assert made.text.count("<script>alert(1)</script>") >= 10
    for char in "\u202e\x00\x1b\x07":
        assert char not in made.source
    assert "\\u202e" in made.text


def test_a_hostile_name_is_harmless_in_the_table_of_all(stored: Stored, page: Read) -> None:
    made = page(stored(EVEN, change={"strategy": _HOSTILE}), stored(EVEN))
    assert len(made.texts["script"]) == 1
    assert made.texts["td"].count(_HOSTILE) == 1
    assert "img" not in {tag for tag, _ in made.elements}


def test_of_many_instances_those_that_deviate_most_are_shown(stored: Stored, page: Read) -> None:
    counts = [40] * 2998 + [4000, 1]
    made = page(stored(counts))
    rows = [name for name in made.texts["th"] if name.startswith("instance-")]
    assert len(rows) == 2000
    assert {"instance-2999", "instance-3000"} <= set(rows)
    assert "1,000 instances between the lowest and the highest 1,000 are left out here" in made.text


def test_rules_are_cut_in_the_page_and_whole_in_the_file(stored: Stored, page: Read) -> None:
    folder = stored(EVEN)
    rules = "\n".join(f"-A CHAIN-{i} -j DNAT" for i in range(10_000))
    step = {"kind": "run", "argv": ["iptables-restore"], "text": rules}
    steps = [{"during": "expose", "at_s": 0, "step": step}] * 3
    (folder / APPLIED).write_text(json.dumps({"schema": 1, "steps": steps}))
    made = page(folder)
    assert f"characters) left out here; applied.json of {folder.name} has all." in made.text
    assert "2 more steps are left out here" in made.text
    assert len(made.source) < 300_000


def test_an_excerpt_ends_with_a_line_and_counts_the_rest() -> None:
    cut = excerpt("one\ntwo\nthree\nfour\n", 9, "x.txt")
    assert cut.text == "one\ntwo"
    assert cut.note == "2 more lines (10 characters) left out here; x.txt has all."
    assert excerpt("one\ntwo\n", 9, "x.txt").note == ""
    assert excerpt("a" * 20, 9, "x.txt").text == "a" * 9


def test_several_results_are_counted_listed_and_compared(stored: Stored, page: Read) -> None:
    made = page(stored(EVEN), stored(UNEVEN), stored(UNKNOWN))
    assert made.texts["h1"] == ["1 of 3 results is as expected."]
    assert "in 1 every instance got its share, within the tolerance; in 1 at least one" in made.text
    assert "uneven, not even" in made.text
    assert "1 even, 1 inconclusive, 1 uneven" not in made.text
    (cell,) = [text for text in made.texts["td"] if "inconclusive, " in text]
    assert cell == "even, inconclusive, uneven"
    links = [attributes["href"] for tag, attributes in made.elements if tag == "a"]
    assert {"#r1", "#r2", "#r3"} <= set(links)


def test_repeated_runs_are_counted_in_one_cell(stored: Stored, page: Read) -> None:
    assert "2 even" in page(stored(EVEN), stored(EVEN)).texts["td"]


def test_a_large_suite_makes_a_page_of_a_few_megabytes(stored: Stored, page: Read, copies: Copies) -> None:
    suite = copies(300, stored(EVEN), stored([2500] * 100))
    made = page(suite)
    assert made.texts["h1"] == ["All 300 results are as expected."]
    assert len([1 for tag, attributes in made.elements if attributes.get("class") == "result"]) == 300
    assert "Plots of single results are left out, since there are more than 8" in made.text
    assert len(made.source.encode()) < 5_000_000


def test_a_folder_is_read_whole_and_what_has_no_summary_is_told(
    stored: Stored, page: Read, harness: Harness
) -> None:
    folder = stored(EVEN)
    stored(UNEVEN)
    broken = folder.with_name("made-up-20260101-000000-incomplete")
    broken.mkdir()
    (broken / "requests.parquet").write_bytes((folder / "requests.parquet").read_bytes())
    (folder.parent / ".hidden.partial").mkdir()
    (folder.parent / "baselines").mkdir()
    made = page(folder.parent, folder, folder / "summary.json")
    assert made.texts["h1"] == ["1 of 2 results is as expected."]
    assert f"no summary: {broken.name}." in made.text
    assert harness("report", broken).exit_code == 2


def test_condensed_results_are_reported_with_what_they_have(
    stored: Stored, page: Read, tmp_path: Path
) -> None:
    """One that is there whole as well is taken once."""
    lines = [
        json.dumps(json.loads((folder / "summary.json").read_text()))
        for folder in (stored(EVEN), stored(UNEVEN, written={"replicas": "four of them"}))
    ]
    suite = tmp_path / "condensed"
    suite.mkdir()
    (suite / RUNS).write_text("\n".join(lines) + "\n")
    made = page(suite)
    assert made.texts["h1"] == ["1 of 2 results is as expected."]
    assert '"replicas": "four of them"' in made.text
    assert "The result holds none: it is condensed" in made.text
    captions = " ".join(made.texts["figcaption"])
    assert captions.count("Each instance's share") == 2
    assert "How long" not in captions
    shutil.copytree(next(iter(sorted((tmp_path / "results").iterdir()))), suite / "whole")
    again = page(suite)
    assert again.texts["h1"] == ["1 of 2 results is as expected."]
    assert " ".join(again.texts["figcaption"]).count("How long") == 2


@pytest.mark.parametrize(("passed", "words"), [("yes", "it recovered as"), ("no", "it did not recover as")])
def test_page_states_the_required_recovery(
    passed: Literal["yes", "no"], words: str, stored: Stored, page: Read
) -> None:
    recovers = Recovers(
        within_s=1,
        lost=None,
        slowest_s=0.4,
        lost_requests=3,
        requests=900,
        passed=passed,
        reason="the slowest took 0.4 s",
    )
    folder = stored(EVEN, change={"recovers": recovers, "passed": passed == "yes"})
    made = page(folder)
    assert f"After its events {words} the scenario requires: the slowest took 0.4 s." in made.text
    assert made.texts["h1"] == ["Even: every instance got its share."]
    assert ("Look at the events" in made.text) == (passed == "no")
    several = page(folder, stored(EVEN))
    assert ("even, but did not recover as required" in several.text) == (passed == "no")


def test_the_command_writes_one_file_and_says_which(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    target = tmp_path / "out" / "page.html"
    target.parent.mkdir()
    done = harness("report", stored(EVEN), "-o", target)
    assert done.exit_code == 0
    assert done.output.startswith(f"{target}: 1 result, ")
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]
    assert target.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: (folder / "summary.json").write_text("{"), "summary.json: is not what it should be"),
        (lambda folder: (folder / "requests.parquet").unlink(), "requests.parquet: can't be read"),
        (lambda folder: (folder / APPLIED).write_text("[]"), "applied.json: is not what a run left"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], "holds no result"),
    ],
)
def test_report_names_unreadable_results_in_a_line(
    prepare: Any, words: str, stored: Stored, harness: Harness, tmp_path: Path
) -> None:
    folder = stored(EVEN)
    prepare(folder)
    done = harness("report", folder, "-o", tmp_path / "page.html")
    assert done.exit_code == 2
    assert words in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "page.html").exists()


def test_a_folder_that_is_missing_is_told(harness: Harness, tmp_path: Path) -> None:
    done = harness("report", tmp_path / "nothing")
    assert done.exit_code == 2
    assert "does not exist" in str(done.exception)


def test_a_page_that_cannot_be_written_is_told_and_leaves_nothing(
    stored: Stored, harness: Harness, tmp_path: Path
) -> None:
    folder = stored(EVEN)
    for target, why in ((tmp_path, "is a folder"), (tmp_path / "no" / "page.html", "No such file")):
        done = harness("report", folder, "-o", target)
        assert done.exit_code == 2
        assert why in str(done.exception)
        assert "--output" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]

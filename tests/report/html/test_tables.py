"""The page's table of events: which results have one, and what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.html import find_results
from harness.report.html.tables import events
from tests.report.html.test_page import EVEN, UNEVEN
from tests.report.test_events import event, required

if TYPE_CHECKING:
    from tests.gate.conftest import Stored
    from tests.report.html.test_page import Read


def test_events_of_several_results_are_one_table(stored: Stored, page: Read) -> None:
    """Which strategy, what it lost, when that was over, and whether it had to be so; none without events."""
    nothing = {"lost": 0, "errors": {}, "first_error_s": None, "last_error_s": None, "recovery": None}
    killed = stored(EVEN, change={"events": (event(), event(**nothing)), "recovers": required("no")})
    unwatched = stored(EVEN, change={"events": (event(requests=0, **nothing),)})
    made = page(killed, unwatched, stored(UNEVEN))
    assert "What events cost" in made.texts["caption"]
    rows = [text for text in made.texts["tr"] if "kill instance-4" in text]
    assert len(rows) == 3
    assert all(part in rows[0] for part in ("1.80", "40 refused, 5 timed out", "1.050", "0.051", "no"))
    assert all(part in rows[1] for part in ("0.00", "none", "not shown"))
    assert "as required" in " ".join(made.texts["th"])
    assert "as required" not in " ".join(page(unwatched, stored(EVEN)).texts["th"])
    assert "What events cost" not in page(killed).texts["caption"]
    assert "What events cost" not in page(stored(EVEN), stored(UNEVEN)).texts["caption"]


def test_more_events_than_there_is_room_for_are_said_to_be_left_out(stored: Stored) -> None:
    """A rolling replacement of a thousand has as many."""
    folders = [stored(EVEN, change={"events": (event(),) * 3}) for _ in range(2)]
    table = events(find_results(folders).results, 5)
    assert table is not None
    assert len(table.rows) == 5
    assert "1 more event is left out here" in table.note

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError

if TYPE_CHECKING:
    from tests.conftest import Harness


@pytest.mark.parametrize(
    ("counts", "statistic", "p_value"), [(("158", "142"), 0.853, 0.356), (("157", "143"), 0.653, 0.419)]
)
def test_a_published_experiment_is_inconclusive(
    harness: Harness, counts: tuple[str, str], statistic: float, p_value: float
) -> None:
    """300 requests over two instances neither show evenness within 10 % nor the contrary."""
    found = harness("fairness", *counts, "--json")
    assert found.exit_code == 3
    judged = json.loads(found.stdout)
    assert judged["verdict"] == "inconclusive"
    assert judged["more_units"] > 0
    assert judged["fit"]["chi_square"]["statistic"] == pytest.approx(statistic, abs=5e-4)
    assert judged["fit"]["chi_square"]["p_value"] == pytest.approx(p_value, abs=5e-4)


def test_the_exit_status_is_the_verdict(harness: Harness) -> None:
    """0 even, 1 uneven, 3 inconclusive."""
    assert harness("fairness", 5000, 5000).exit_code == 0
    assert harness("fairness", 9000, 1000).exit_code == 1
    assert harness("fairness", 9000, 1000, "--expected", "9:1").exit_code == 0
    assert harness("fairness", 0, 0).exit_code == 3


def test_counts_come_from_a_csv(harness: Harness) -> None:
    """Two columns with a header, as spreadsheets write them."""
    found = harness("fairness", input='\ufeffname,count\r\n"a, b",5000\r\n\r\nc, 5010\r\n')
    assert found.exit_code == 0
    assert "a, b" in found.stdout
    assert "5,010" in found.stdout


def test_fairness_names_more_even_than_chance(harness: Harness) -> None:
    """Round robin is not praised with a high p-value."""
    assert "more even than chance allows" in harness("fairness", 1000, 1000, 1000, 1000).stdout


def test_fairness_simulates_few_units(harness: Harness) -> None:
    """Where chi-square's approximation is poor, the simulated p-value is the one to read."""
    assert "simulated" in harness("fairness", 3, 1, 2).stdout


def test_fairness_shows_zero_deviation_without_sign(harness: Harness) -> None:
    """What rounds to nothing is not shown as less than nothing."""
    rows = harness("fairness", 100_000, 100_001).stdout.split("chi-square")[0]
    assert rows.count("+0.0 %") == 2


@pytest.mark.parametrize("intervals", ["exact", "goodman", "sison-glaz"])
def test_intervals_can_be_chosen(harness: Harness, intervals: str) -> None:
    """Each holds the observed shares."""
    judged = json.loads(harness("fairness", 158, 142, "--intervals", intervals, "--json").stdout)
    for instance in judged["instances"]:
        low, high = instance["interval"]
        assert low < instance["share"] < high


@pytest.mark.parametrize(
    ("arguments", "given", "complaint"),
    [
        ([], "", "no counts"),
        ([], "a,1\nb\n", "line 2: write two columns"),
        ([], "a,1\nb,-5\n", "line 2: '-5' is no count"),
        ([], "a,1\nb,1.5\n", "line 2"),
        ([], b"\xff\xfe,1\n", "no UTF-8"),
        ([], f"a,{10**20}\n", "too large"),
        ([], "a,1\nb,2\na,3\n", "'a' has several counts"),
        (["1", "2", "--expected", "9"], "", "2 counts, but 1"),
        (["1", "2", "--expected", "9:x"], "", "numbers with colons"),
        (["1", "2", "--expected", "1:0"], "", "above 0"),
        (["1", "2", "--expected", "1:nan"], "", "above 0"),
        (["1", str(2**60)], "", "too many"),
    ],
)
def test_wrong_input_is_told(
    harness: Harness, arguments: list[str], given: str | bytes, complaint: str
) -> None:
    """One line that says what is wrong, and where."""
    found = harness("fairness", *arguments, input=given)
    assert isinstance(found.exception, HarnessError)
    assert complaint in str(found.exception)
    assert "\n" not in str(found.exception)

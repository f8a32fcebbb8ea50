from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.quantities import (
    MOST_DURATION_NS,
    format_duration,
    format_percentage,
    format_rate,
    parse_duration,
    parse_percentage,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("10s", 10_000_000_000),
        ("500ms", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("1h", 3_600_000_000_000),
        ("250us", 250_000),
        ("1ns", 1),
        ("0s", 0),
        ("1.5s", 1_500_000_000),
        ("168h", MOST_DURATION_NS),
    ],
)
def test_a_duration_is_read_as_nanoseconds(text: str, duration_ns: int) -> None:
    """Every unit counts, and so do their sums and decimal fractions."""
    assert parse_duration(text) == duration_ns


_NO_DURATION = "is no duration; write numbers with units (h, m, s, ms, us, ns), such as 1m30s"


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (10, "10 has no unit; write 10s or 500ms"),
        (0.5, "0.5 has no unit; write 10s or 500ms"),
        ("10", f"'10' {_NO_DURATION}"),
        ("", f"'' {_NO_DURATION}"),
        ("10 s", f"'10 s' {_NO_DURATION}"),
        ("10s\n", rf"'10s\n' {_NO_DURATION}"),
        ("30s1m", f"'30s1m' {_NO_DURATION}"),
        ("-1s", f"'-1s' {_NO_DURATION}"),
        ("\u0661s", f"'\u0661s' {_NO_DURATION}"),
        ("9" * 70 + "s", f"'{'9' * 57}…' {_NO_DURATION}"),
        (True, f"true {_NO_DURATION}"),
        (["1s"], f"a list {_NO_DURATION}"),
        ("0.5ns", "0.5ns is no whole number of nanoseconds; leave out the digits below them"),
        ("169h", "169h is too long; write at most 168h"),
    ],
)
def test_duration_parser_refuses_other_text_and_names_the_form(given_: object, words: str) -> None:
    """The message says what was found and what to write."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        parse_duration(given_)


@given(st.integers(0, MOST_DURATION_NS))
def test_a_duration_that_was_written_is_read_again(duration_ns: int) -> None:
    """No nanosecond is lost on the way through text."""
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.5%", 0.005), ("99.9%", 0.999), ("0%", 0), ("250%", 2.5)]
)
def test_a_percentage_is_read_as_a_share_of_one(text: str, share: float) -> None:
    """The share is the float nearest to the decimal that was written."""
    assert parse_percentage(text) == share


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (0.1, "0.1 has no percent sign; write 0.1% or 10%, whichever is meant"),
        (1, "1 has no percent sign; write 1% or 100%, whichever is meant"),
        (95, "95 has no percent sign; write 95%"),
        ("ten", "'ten' is no percentage; write a number and %, such as 10%"),
        ("-5%", "'-5%' is no percentage; write a number and %, such as 10%"),
    ],
)
def test_percentage_parser_refuses_other_text_and_names_the_form(given_: object, words: str) -> None:
    """A bare number is refused with both of its readings."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        parse_percentage(given_)


@given(st.decimals(0, 100, places=6))
def test_a_percentage_that_was_written_is_read_again(percentage: object) -> None:
    """The same float comes back."""
    share = parse_percentage(f"{percentage:f}%")
    assert parse_percentage(format_percentage(share)) == share


@pytest.mark.parametrize(
    ("text", "rate_per_s"), [("200/s", 200.0), ("12000/m", 200.0), ("1800/h", 0.5), ("0.5/s", 0.5)]
)
def test_a_rate_is_read_a_second(text: str, rate_per_s: float) -> None:
    """Rates a minute and an hour are rates a second too."""
    assert parse_rate(text) == rate_per_s
    assert parse_rate(format_rate(rate_per_s)) == rate_per_s


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (200, "200 has no unit; write 200/s or 100/m"),
        ("200", "'200' is no rate; write a number and /s, /m or /h, such as 200/s"),
        ("200/d", "'200/d' is no rate; write a number and /s, /m or /h, such as 200/s"),
    ],
)
def test_rate_parser_refuses_other_text_and_names_the_form(given_: object, words: str) -> None:
    """The message says what was found and what to write."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        parse_rate(given_)

"""Text from outside, made fit for a terminal."""

from __future__ import annotations

from harness.common.text import cut


def test_cut_says_what_is_missing() -> None:
    """A text that fits stays as it is."""
    assert cut("12345", 5) == "12345"
    assert cut("1" * 5_000, 10) == "1111111111… (4,990 characters more)"

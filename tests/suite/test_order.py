from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.suite.order import rounds

repeats = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 5), max_size=20)


@given(repeats, st.integers(0, 2**63 - 1))
def test_each_round_has_every_scenario_that_has_repeats_left_once(counts: dict[str, int], seed: int) -> None:
    """Nothing is left out, run twice in a round, or run more often than asked."""
    planned = rounds(counts, seed)
    assert Counter(name for names in planned for name in names) == counts
    for index, names in enumerate(planned):
        assert set(names) == {name for name, count in counts.items() if count > index}


@given(repeats, st.integers(0, 2**63 - 1))
def test_a_seed_always_gives_the_same_order(counts: dict[str, int], seed: int) -> None:
    """A suite can be repeated just as it was."""
    assert rounds(counts, seed) == rounds(counts, seed)


def test_the_order_of_a_seed_is_the_same_for_every_version() -> None:
    """What is documented as repeatable stays so with the next Python, too."""
    assert rounds(dict.fromkeys("abcde", 2), 7) == [["e", "a", "d", "b", "c"], ["c", "d", "b", "e", "a"]]


def test_rounds_and_seeds_differ() -> None:
    """Each round is shuffled anew, and each seed in its own way."""
    names = dict.fromkeys("abcdefghijklmnop", 3)
    first, second, third = rounds(names, 1)
    assert len({tuple(first), tuple(second), tuple(third), tuple(rounds(names, 2)[0]), tuple(names)}) == 5

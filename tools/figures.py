"""Write the answer in README.md anew: pictures and a few sentences, of the reference results."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.errors import ResultError
from harness.report.plots import cost_figure, matrix_figure, save
from harness.summary.run import Summary
from harness.summary.suite import SuiteSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT: Final = Path(__file__).parents[1]
_REFERENCE: Final = _ROOT / "results" / "reference" / "reference"
_FAILOVER: Final = _ROOT / "results" / "reference" / "failover"
_FIGURES: Final = _ROOT / "docs" / "figures"
_ANSWER: Final = re.compile(r"(<!-- answer -->\n).*(<!-- end of answer -->)", re.DOTALL)

REPLICAS: Final = 10
CONNECTIONS: Final = "per-request"
"""Of the reference suite's columns, the one whose costs are drawn: every strategy chooses often in it."""


class _Cost(NamedTuple):
    """What a killed instance cost in one run: the lost share of the requests, and when it had recovered."""

    lost: float
    after_s: float | None


def main() -> int:
    """Read, draw and write; says in a line what is missing."""
    try:
        summaries = read_runs(_REFERENCE / "runs.jsonl")
        suite = SuiteSummary.model_validate_json((_REFERENCE / "suite.json").read_text("utf-8"))
        machine = json.loads((_REFERENCE / "machine.json").read_text("utf-8"))
        words = f"{answer(summaries, machine)}\n{failover(read_runs(_FAILOVER / 'runs.jsonl'))}"
    except (OSError, ValueError, ResultError) as error:
        print(f"error: {error}; make reference measures what this reads", file=sys.stderr)
        return 2
    _FIGURES.mkdir(exist_ok=True)
    save(cost_figure(drawn(summaries)), _FIGURES / "cost.png")
    save(matrix_figure(suite), _FIGURES / "verdicts.png")
    readme = _ROOT / "README.md"
    readme.write_text(put_in(readme.read_text("utf-8"), words), encoding="utf-8")
    return 0


def read_runs(path: Path) -> list[Summary]:
    """Read the summaries of condensed results, one a line."""
    return [Summary.model_validate_json(line) for line in path.read_text("utf-8").splitlines()]


def drawn(summaries: Sequence[Summary]) -> list[Summary]:
    """Choose the runs whose costs are compared: all under the same load."""
    chosen = [one for one in summaries if one.replicas == REPLICAS and _connections(one) == CONNECTIONS]
    if not chosen:
        raise ResultError(f"no run has {REPLICAS} replicas and connections: {CONNECTIONS}")
    return chosen


def answer(summaries: Sequence[Summary], machine: dict[str, Any]) -> str:
    """Write what stands in README.md: the pictures, and what they show in words."""
    verdicts: dict[str, Counter[str]] = {}
    for one in drawn(summaries):
        verdicts.setdefault(one.strategy, Counter())[one.verdict] += 1
    even = [name for name, counts in verdicts.items() if set(counts) == {"even"}]
    others = [
        f"`{name}` is {' or '.join(sorted(counts))}"
        for name, counts in sorted(verdicts.items())
        if name not in even
    ]
    tolerance = max(one.tolerance for one in drawn(summaries))
    virtual = "a virtual machine with " if machine["virtual"] else ""
    where = f"{virtual}{machine['cores']} cores ({machine['cpu']}), kernel {machine['kernel'].split('-')[0]}"
    said = f"{len(even)} of {len(verdicts)} strategies are even within {tolerance * 100:.4g} % in every run"
    words = (
        f"With {REPLICAS} instances and a new connection for each request, "
        f"{'; '.join([said, *others])}. Left is cheap, low is even. Measured on {where}; all verdicts, with "
        "connections kept, too:"
    )
    alt = "Processor time for each request, against the deviation of the instance that deviates most"
    return f"![{alt}](docs/figures/cost.png)\n\n{_wrapped(words)}\n\n![Verdicts](docs/figures/verdicts.png)\n"


_KILLED: Final = "kill-one-"
_FEW: Final = 0.01
_HOW: Final = ("next to none", "some, until they follow", "every request to the dead one, until the end")


def failover(summaries: Sequence[Summary]) -> str:
    """Write what a killed instance costs with each strategy: a row for those that fare alike.

    Of several runs of a scenario, the one that lost most says where it stands.
    """
    killed = [one for one in summaries if one.name.startswith(_KILLED) and len(one.events) == 1]
    if not killed:
        raise ResultError(f"no run of the failover suite is named {_KILLED}…")
    runs = Counter(one.name for one in killed)
    each = "one run" if max(runs.values()) == 1 else f"{max(runs.values())} runs"
    rows: dict[str, list[str]] = {how: [] for how in _HOW}
    found: dict[str, list[_Cost]] = {how: [] for how in _HOW}
    for name in sorted(runs):
        costs = [_cost(one) for one in killed if one.name == name]
        how = _how(costs)
        rows[how].append(f"`{name.removeprefix(_KILLED)}`")
        found[how].extend(costs)
    told = (
        f"What it costs when one of {killed[0].replicas} instances is killed under load "
        f"({each} each; [why](docs/strategies.md)):"
    )
    lines = [
        told,
        "",
        "| lost | of the requests after it | recovered within | strategies |",
        "|---|---|---|---|",
    ]
    for how, names in rows.items():
        if names:
            shares = [cost.lost for cost in found[how]]
            between = f"{min(shares) * 100:.2g} to {max(shares) * 100:.2g} %"
            lines.append(f"| {how} | {between} | {_within(found[how])} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


def _cost(killed: Summary) -> _Cost:
    (event,) = killed.events
    after_s = event.recovery.after_s if event.recovery else None
    return _Cost(event.lost / max(event.requests, 1), after_s)


def _how(costs: Sequence[_Cost]) -> str:
    if max(cost.lost for cost in costs) <= _FEW:
        return _HOW[0]
    return _HOW[2] if all(cost.after_s is None for cost in costs) else _HOW[1]


def _within(costs: Sequence[_Cost]) -> str:
    """Say how long the slowest took, and in how many runs no recovery was shown."""
    times_s = [cost.after_s for cost in costs if cost.after_s is not None]
    if not times_s:
        return "not"
    lacking = len(costs) - len(times_s)
    return f"{max(times_s):.1f} s" + (f" (not shown in {lacking} of {len(costs)} runs)" if lacking else "")


def put_in(readme: str, text: str) -> str:
    """Put the answer between its marks."""
    changed, found = _ANSWER.subn(lambda marks: marks[1] + text + marks[2], readme)
    if found != 1:
        raise ResultError("README.md has not the two marks that the answer stands between")
    return changed


def _connections(summary: Summary) -> str:
    return str(summary.scenario.get("load", {}).get("connections", CONNECTIONS))


def _wrapped(words: str) -> str:
    from textwrap import fill  # noqa: PLC0415  beside what it is for

    return fill(words, 115, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main())

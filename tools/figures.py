"""Write what the reference results answer: README.md's table, docs/reference.md and two pictures."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from harness.errors import HarnessError, ResultError
from harness.report.plots.cost import cost_figure
from harness.report.plots.groups import cpu_in_all, worst_deviation
from harness.report.plots.matrix import matrix_figure
from harness.report.plots.save import save
from harness.strategies import find_strategy
from harness.strategies.base import FAMILIES
from harness.summary.run import Summary
from harness.summary.suite import SuiteSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.strategies.base import Strategy

_ROOT: Final = Path(__file__).parents[1]
_REFERENCE: Final = _ROOT / "results" / "reference" / "reference"
_FAILOVER: Final = _ROOT / "results" / "reference" / "failover"
_FIGURES: Final = _ROOT / "docs" / "figures"
_PAGE: Final = _ROOT / "docs" / "reference.md"
_README: Final = _ROOT / "README.md"
_ANSWER: Final = re.compile(r"(<!-- answer -->\n).*(<!-- end of answer -->)", re.DOTALL)

REPLICAS: Final = 10
CONNECTIONS: Final = "per-request"
"""Of the reference suite's columns, the one whose costs are compared: every strategy chooses often in it."""

_KILLED: Final = "kill-one-"
_FEW: Final = 0.01
_INSTANT_S: Final = 0.1
_HOW: Final = ("next to none", "some, until they follow", "every request to the dead one, until the end")


class _Cost(NamedTuple):
    """What a killed instance cost in one run: the lost share of the requests, and when it had recovered."""

    lost: float
    after_s: float | None


class Row(NamedTuple):
    """What was measured of one strategy, and what its class says of it.

    Attributes
    ----------
    runs
        Its runs under the load that is compared.
    costs
        What one death cost, for each run; none where that was not measured.
    """

    strategy: type[Strategy]
    runs: tuple[Summary, ...]
    costs: tuple[_Cost, ...]

    @property
    def alike(self) -> tuple[object, ...]:
        """What strategies must have in common to share a row of the short table."""
        found, able = self.strategy, self.strategy.default_capabilities()
        verdicts = tuple(sorted({run.verdict for run in self.runs}))
        how = _how(self.costs) if self.costs else ""
        return found.family, verdicts, able.keeps_source, able.needs_root, able.cooperation, how


def main() -> int:
    """Read, draw and write; an error says in a line what is missing."""
    try:
        write()
    except (OSError, ValueError, HarnessError) as error:
        print(f"error: {error}; make reference measures what this reads", file=sys.stderr)
        return 2
    return 0


def write() -> None:
    """Write both pictures, the page and the answer in README.md."""
    summaries = read_runs(_REFERENCE / "runs.jsonl")
    suite = SuiteSummary.model_validate_json((_REFERENCE / "suite.json").read_text("utf-8"))
    _FIGURES.mkdir(exist_ok=True)
    save(cost_figure(drawn(summaries)), _FIGURES / "cost.png")
    save(matrix_figure(suite), _FIGURES / "verdicts.png")
    answered, page = texts()
    _README.write_text(put_in(_README.read_text("utf-8"), answered), encoding="utf-8")
    _PAGE.write_text(page, encoding="utf-8")


def texts() -> tuple[str, str]:
    """Give the answer in README.md and the whole of docs/reference.md, from the stored results."""
    summaries = read_runs(_REFERENCE / "runs.jsonl")
    killed = read_runs(_FAILOVER / "runs.jsonl")
    machine = json.loads((_REFERENCE / "machine.json").read_text("utf-8"))
    suite = SuiteSummary.model_validate_json((_REFERENCE / "suite.json").read_text("utf-8"))
    absent = sorted({one.strategy for one in suite.scenarios} - {one.strategy for one in summaries})
    return answer(summaries, killed, machine, absent), reference_page(summaries, killed, machine)


def read_runs(path: Path) -> list[Summary]:
    """Read the summaries of condensed results, one a line."""
    return [Summary.model_validate_json(line) for line in path.read_text("utf-8").splitlines()]


def drawn(summaries: Sequence[Summary]) -> list[Summary]:
    """Choose the runs whose costs are compared: all under the same load."""
    chosen = [one for one in summaries if one.replicas == REPLICAS and _connections(one) == CONNECTIONS]
    if not chosen:
        raise ResultError(f"no run has {REPLICAS} replicas and connections: {CONNECTIONS}")
    return chosen


def rows(summaries: Sequence[Summary], killed: Sequence[Summary]) -> list[Row]:
    """Put together what was measured of each strategy, family by family; the baseline has one instance."""
    baseline = [one for one in summaries if one.replicas == 1 and _connections(one) == CONNECTIONS]
    costs = _costs(killed)
    runs: dict[str, list[Summary]] = {}
    for one in [*baseline, *drawn(summaries)]:
        runs.setdefault(one.strategy, []).append(one)
    found = [
        Row(find_strategy(name), tuple(own), tuple(costs.get(name, ()))) for name, own in sorted(runs.items())
    ]
    order = {family: number for number, family in enumerate(FAMILIES)}
    last = len(order)
    return sorted(found, key=lambda row: (order.get(row.strategy.family, last), _is_uneven(row)))


def _is_uneven(row: Row) -> bool:
    return any(run.verdict == "uneven" for run in row.runs)


def answer(
    summaries: Sequence[Summary],
    killed: Sequence[Summary],
    machine: dict[str, Any],
    absent: Sequence[str] = (),
) -> str:
    """Write what stands in README.md: a row for strategies that are alike, and the picture of costs.

    `absent` are strategies of the suite that have no run.
    """
    together: dict[tuple[object, ...], list[Row]] = {}
    for row in rows(summaries, killed):
        together.setdefault(row.alike, []).append(row)
    table = _table(together.values(), _replicas_of(killed))
    alt = "Processor time for each request, against the largest deviation of an instance"
    return "\n".join(
        [
            *table,
            "",
            _wrapped(_explained(summaries, killed, machine, absent)),
            "",
            f"![{alt}](docs/figures/cost.png)",
            "",
        ]
    )


def _table(groups: Iterable[Sequence[Row]], replicas: int) -> list[str]:
    columns = (
        "how",
        "strategies",
        "verdict, worst deviation",
        "processor time",
        "p99 latency",
        f"lost when one of {replicas} dies",
        "client's address",
        "needs",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for group in groups:
        names = ", ".join(f"`{row.strategy.name}`" for row in group)
        runs = [row.runs for row in group]
        cpu = [median(_known(cpu_in_all(run.cpu_us_per_request) for run in own)) for own in runs]
        p99 = [median(_known(_p99_ms(run) for run in own)) for own in runs]
        first = group[0].strategy
        cells = (
            first.family,
            names,
            _verdict(group),
            _between(cpu, ",.0f", "µs"),
            _between(p99, ".1f", "ms"),
            _lost([cost for row in group for cost in row.costs]),
            "kept" if first.keeps_source else "hidden",
            _needs(first),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _verdict(group: Sequence[Row]) -> str:
    runs = [run for row in group for run in row.runs]
    if {run.replicas for run in runs} == {1}:
        return "(one instance)"
    verdicts = " or ".join(sorted({run.verdict for run in runs}))
    return f"{verdicts}, {max(_known(worst_deviation(run) for run in runs)) * 100:.1f} %"


def _needs(strategy: type[Strategy]) -> str:
    needs = ["root"] if strategy.needs_root else []
    needs += ["a changed application"] if strategy.cooperation else []
    return ", ".join(needs) or "nothing"


def _lost(costs: Sequence[_Cost]) -> str:
    if not costs:
        return "not measured"
    within = _within(costs)
    return f"{_lost_shares(costs)}; " + ("no recovery" if within == "not" else f"recovery in {within}")


def _lost_shares(costs: Sequence[_Cost]) -> str:
    return _between([cost.lost * 100 for cost in costs], ".2g", "%")


def _between(values: Sequence[float], form: str, unit: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _known(values: Iterable[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    if not known:
        raise ResultError("a figure of the table is in none of a strategy's runs")
    return known


def _p99_ms(run: Summary) -> float | None:
    if run.latency_ns is None or run.latency_ns.p99 is None:
        return None
    return run.latency_ns.p99 / 1e6


def _explained(
    summaries: Sequence[Summary], killed: Sequence[Summary], machine: dict[str, Any], absent: Sequence[str]
) -> str:
    """Say what the columns mean, and on what they were measured."""
    runs = drawn(summaries)
    most = max(Counter(one.strategy for one in runs).values())
    names = {one.strategy for one in runs}
    variants = [
        f"`{name}` loses {_lost_shares(costs)}" for name, costs in _costs(killed).items() if name not in names
    ]
    changed = f" Options and a watcher change what is lost: {', '.join(variants)}." if variants else ""
    tolerance = max(one.tolerance for one in runs) * 100
    names_of_absent = ", ".join(f"`{name}`" for name in absent)
    lacking = (
        f" Without a row: {names_of_absent} (not supported by this kernel, or with {REPLICAS} instances)."
        if absent
        else ""
    )
    return (
        f"Load: {REPLICAS} instances, a new connection for each request. *even*: each share is within "
        f"{tolerance:.4g} % of a fair one. Worst deviation, lost and recovery: the extremes of all runs. "
        f"Processor time (all processes, per request) and p99 latency: the median of {most} runs; "
        f"a range spans the strategies of the row.{changed} *Needs*: on a machine of your own; "
        f"the harness needs neither. Measured on {_where(machine)}.{lacking} "
        "[Every strategy in a row of its own](docs/reference.md), [how each one works](docs/strategies.md)."
    )


def _where(machine: dict[str, Any]) -> str:
    virtual = "a virtual machine with " if machine["virtual"] else ""
    return f"{virtual}{machine['cores']} cores ({machine['cpu']}), kernel {machine['kernel'].split('-')[0]}"


def reference_page(summaries: Sequence[Summary], killed: Sequence[Summary], machine: dict[str, Any]) -> str:
    """Write docs/reference.md: each strategy by itself, what a death costs, and all verdicts."""
    each = [[row] for row in rows(summaries, killed)]
    parts = [
        "# Reference results",
        _wrapped(
            "What every strategy did under the same load. `make figures` writes this page from the stored "
            "results in [`results/reference/`](../results/reference/README.md), measured on "
            f"{_where(machine)}. "
            "`make reference` measures them again on your machine."
        ),
        "## Every strategy",
        _wrapped(
            f"{REPLICAS} instances (`direct`: one), a new connection for each request. Processor time (all "
            "processes, per request) and p99 latency are medians of the runs; deviation, lost and recovery "
            "are the extremes."
        ),
        "\n".join(_table(each, _replicas_of(killed))),
        "![Processor time for each request, against the largest deviation of an instance](figures/cost.png)",
        _wrapped("Left is cheap, low is even. Marks are medians, lines are the ranges of the runs."),
        "## What a killed instance costs",
        failover(killed).rstrip(),
        "## All verdicts",
        _wrapped(
            "With connections kept, a strategy that balances connections chooses only once for each user: "
            "too few choices for a verdict, so these runs are inconclusive. A number counts the runs with "
            "that verdict."
        ),
        "![Verdicts by strategy, number of instances and kind of connection](figures/verdicts.png)",
    ]
    return "\n\n".join(parts) + "\n"


def failover(summaries: Sequence[Summary]) -> str:
    """Write what a killed instance costs with each strategy: a row for those that fare alike.

    Of several runs of a scenario, the one that lost most says where it stands.
    """
    runs = Counter(one.name for one in _with_a_death(summaries))
    each = "one run" if max(runs.values()) == 1 else f"{max(runs.values())} runs"
    names: dict[str, list[str]] = {how: [] for how in _HOW}
    found: dict[str, list[_Cost]] = {how: [] for how in _HOW}
    for name, costs in _costs(summaries).items():
        how = _how(costs)
        names[how].append(f"`{name}`")
        found[how].extend(costs)
    lines = [
        f"One of {_replicas_of(summaries)} instances is killed under load ({each} each):",
        "",
        "| lost | of the requests after it | recovered within | strategies |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {how} | {_lost_shares(found[how])} | {_within(found[how])} | {', '.join(names[how])} |"
        for how in _HOW
        if names[how]
    ]
    return "\n".join(lines) + "\n"


def _with_a_death(summaries: Sequence[Summary]) -> list[Summary]:
    killed = [one for one in summaries if one.name.startswith(_KILLED) and len(one.events) == 1]
    if not killed:
        raise ResultError(f"no run of the failover suite is named {_KILLED}…")
    return killed


def _costs(summaries: Sequence[Summary]) -> Mapping[str, list[_Cost]]:
    """Give what a death cost in each run, by the scenario's name after `kill-one-`."""
    costs: dict[str, list[_Cost]] = {}
    for one in sorted(_with_a_death(summaries), key=lambda run: run.name):
        (event,) = one.events
        after_s = event.recovery.after_s if event.recovery else None
        cost = _Cost(event.lost / max(event.requests, 1), after_s)
        costs.setdefault(one.name.removeprefix(_KILLED), []).append(cost)
    return costs


def _replicas_of(summaries: Sequence[Summary]) -> int:
    return _with_a_death(summaries)[0].replicas


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
    slowest = f"{max(times_s):.1f} s" if max(times_s) >= _INSTANT_S else "0.1 s"
    return slowest + (f" (not shown in {lacking} of {len(costs)} runs)" if lacking else "")


def put_in(readme: str, text: str) -> str:
    """Put the answer between its marks."""
    changed, found = _ANSWER.subn(lambda marks: marks[1] + text + marks[2], readme)
    if found != 1:
        raise ResultError("README.md has not the two marks that the answer stands between")
    return changed


def _connections(summary: Summary) -> str:
    return str(summary.scenario.get("load", {}).get("connections", CONNECTIONS))


def _wrapped(words: str) -> str:
    return fill(words, 115, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main())

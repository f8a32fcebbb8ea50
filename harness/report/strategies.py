"""What strategies say of themselves: as tables for a terminal, and as a page of documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.engines import ENGINES
from harness.strategies.base import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from harness.strategies.base import Strategy
    from harness.strategies.capabilities import Capabilities

_INTRODUCTION = """\
# Strategies

Every way to put several instances on one port that the harness knows. This page is made from what the
strategies say of themselves: `harness list strategies --markdown`.

%(families)s
- **unit**: what is balanced, and so what the verdict is about: connections, requests, or sources (client
  addresses).
- **layer**: 4 where a client's connection is one of an instance's, 7 where requests are passed on one by one.
- **predicted**: the distribution that theory predicts. *Multinomial* is what independent random choices give;
  *exactly* means in turn.
- **weights**: whether instances can have different shares (`weights:` in a scenario).
- **routes**: whether it can lead requests to different instances by path or host (`routes:` in a scenario).
- **told**: whether it takes over members that it is told of: by a watcher (`membership: followed`), or by a
  replacement (`events:` in a scenario). One that can't be told keeps what it began with, or follows by
  itself.
- **follows**: by what it learns, without being told, that an instance has come or gone.
- **cooperation**: whether the application has to do something for it.
- **keeps source**: whether an instance sees the client's own address.
- **needs root**: whether it changes the kernel's rules or uses the container engine's socket, which
  takes root on a machine of your own.
- **health checks**: whether it can find out by itself that an instance is ill.

`PORT` is the endpoint's port in the diagrams.
"""


def render_strategies(strategies: Sequence[type[Strategy]], console: Console) -> None:
    """Print what each strategy is, and what it can do."""
    what = Table("strategy", "unit", "routes", "policy", "summary", box=SIMPLE_HEAD)
    can = Table("strategy", "weights", "members", "cooperation", "source", "health", box=SIMPLE_HEAD)
    can.add_column("engines", overflow="fold")
    can.add_column("predicted", min_width=11)
    for table in (what, can):
        for column in table.columns[:-2]:
            column.no_wrap = True
    for strategy in strategies:
        able = strategy.default_capabilities()
        summary = (strategy.name, able.unit, _yes(able.routes), able.policy, strategy.summary)
        what.add_row(*(Text(printable(cell, console.encoding)) for cell in summary))
        abilities = (
            strategy.name,
            _yes(able.weights),
            _learns(able),
            _yes(able.cooperation),
            _yes(able.keeps_source),
            _yes(able.health_checks),
            ", ".join(sorted(strategy.engines)) if strategy.engines else "all",
            able.predicted,
        )
        can.add_row(*(Text(printable(cell, console.encoding)) for cell in abilities))
    console.print(what)
    console.print(can)


def _yes(can: bool) -> str:
    return "yes" if can else "no"


def strategies_page(strategies: Sequence[type[Strategy]]) -> str:
    """Write the page of all strategies in Markdown."""
    parts = [_INTRODUCTION % {"families": _families(strategies)}, _overview(strategies)]
    parts += [_section(strategy) for strategy in strategies]
    return "\n".join(parts)


def _families(strategies: Sequence[type[Strategy]]) -> str:
    """Write a row for each family, in the order of `FAMILIES`; others follow."""
    names: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for strategy in strategies:
        names.setdefault(strategy.family, []).append(f"[`{strategy.name}`](#{strategy.name})")
    rows = ["how | strategies", "--- | ---"]
    rows += [f"{family} | {', '.join(own)}" for family, own in names.items() if own]
    return "\n".join(f"| {row} |" for row in rows) + "\n"


def _overview(strategies: Sequence[type[Strategy]]) -> str:
    header = (
        "strategy | unit | policy | weights | routes | told | follows | cooperation | keeps source | "
        "needs root | health checks"
    )
    rows = [header, " | ".join(["---"] * 11)]
    for strategy in strategies:
        able = strategy.default_capabilities()
        cells = (
            f"[`{strategy.name}`](#{strategy.name})",
            able.unit,
            able.policy,
            *map(
                _yes,
                (
                    able.weights,
                    able.routes,
                    able.discovery == "pushed",
                    bool(able.follows),
                    able.cooperation,
                    able.keeps_source,
                    able.needs_root,
                    able.health_checks,
                ),
            ),
        )
        rows.append(" | ".join(cells))
    return "\n".join(f"| {row} |" for row in rows) + "\n"


def _learns(able: Capabilities) -> str:
    """Say in a word how a strategy learns of its members: it is told of them, finds them itself, or both."""
    if able.discovery == "pushed":
        return "both" if able.follows else "told"
    return "itself" if able.follows else "no"


def _membership(able: Capabilities) -> str:
    """Say who tells a strategy of members that come and go, and what it finds out by itself."""
    pushed = able.discovery == "pushed"
    told = "taken over when it is told (`membership: followed`)" if pushed else "it can't be told"
    return f"{told}; by itself: {able.follows or 'none'}"


def _section(strategy: type[Strategy]) -> str:
    able = strategy.default_capabilities()
    facts = [
        f"balances {able.unit}s at layer {able.layer}",
        f"policy: {able.policy}",
        f"predicted: {able.predicted}",
        "members: " + _membership(able),
        f"engines: {', '.join(filter(strategy.runs_on, ENGINES.names()))}",
    ]
    if able.most_members:
        facts.append(f"at most {able.most_members} instance{'' if able.most_members == 1 else 's'}")
    if strategy.commands:
        needed = sorted({f"`{how}`" for how in strategy.commands.values()})
        facts.append(f"needs {', '.join(strategy.commands)} ({', '.join(needed)})")
    text = f"## {strategy.name}\n\n{strategy.summary}\n\n"
    text += "".join(f"- {fact}\n" for fact in facts)
    text += f"\n```text\n{strategy.way.strip(chr(10))}\n```\n"
    if options := list(_options(strategy)):
        rows = ["option | values | default | what it says", "--- | --- | --- | ---", *options]
        text += "\n" + "\n".join(f"| {row} |" for row in rows) + "\n"
    if strategy.seams:
        text += f"\nWhat surprises people:\n\n{strategy.seams.strip(chr(10))}\n"
    return text


def _options(strategy: type[Strategy]) -> Iterator[str]:
    properties = strategy.options_model.model_json_schema()["properties"] if _has_options(strategy) else {}
    for name, option in properties.items():
        default = f"`{_written(option['default'])}`" if "default" in option else "required"
        yield f"`{name}` | {_values(option)} | {default} | {option.get('description', '')}"


def _has_options(strategy: type[Strategy]) -> bool:
    return bool(strategy.options_model.model_fields)


def _values(option: dict[str, Any]) -> str:
    if "anyOf" in option:
        return " or ".join(_values(each) for each in option["anyOf"])
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    if option["type"] == "integer" and "maximum" in option:
        return f"{option['minimum']} to {option['maximum']}"
    if "examples" in option:
        return f"text, as in `{option['examples'][0]}`"
    words = {"boolean": "`true`, `false`", "integer": f"a whole number from {option.get('minimum', 0)}"}
    return words.get(option["type"], "text")


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

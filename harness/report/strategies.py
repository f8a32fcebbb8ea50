"""What strategies say of themselves: as tables for a terminal, and as a page of documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.engines import ENGINES
from harness.strategies.base import FAMILIES
from harness.types import ONE_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from harness.strategies.base import Strategy
    from harness.strategies.capabilities import Capabilities

_INTRODUCTION = """\
# Strategies

All strategies of the harness: ways to put several instances on one port. This page is generated from the
strategies' own descriptions: `harness list strategies --markdown`.

%(families)s
- **unit**: what the strategy balances, and so what the verdict counts: connections, requests, sources
  (client addresses) or networks of /24. A hash's unit is what it hashes.
- **layer**: 4 if each client connection belongs to one instance, 7 if requests are passed on one by one.
- **predicted**: the distribution that theory predicts. *Multinomial* results from independent random choices,
  *exactly* from turns.
- **weights**: instances can have different shares (`weights:` in a scenario).
- **routes**: requests can go to different instances by path or host (`routes:` in a scenario).
- **discovery**: how the strategy learns that instances have come or gone. *pushed*: by a watcher
  (`membership: followed`) or a replacement (`events:` in a scenario). *self*: by its own means, such as
  health checks or DNS. *static*: not at all.
- **cooperation**: the application must do something, such as set SO_REUSEPORT.
- **keeps source**: instances see the client's own address.
- **needs root**: the strategy changes the kernel's rules or uses the container engine's socket, which
  takes root on a machine of your own.
- **health checks**: the strategy can detect unhealthy instances.

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
            _learns(able).replace("pushed, self", "both"),
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
        "strategy | unit | policy | weights | routes | discovery | cooperation | keeps source | needs root | "
        "health checks"
    )
    rows = [header, " | ".join(["---"] * 10)]
    for strategy in strategies:
        able = strategy.default_capabilities()
        cells = (
            f"[`{strategy.name}`](#{strategy.name})",
            able.unit,
            able.policy,
            _yes(able.weights),
            _yes(able.routes),
            _learns(able),
            *map(_yes, (able.cooperation, able.keeps_source, able.needs_root, able.health_checks)),
        )
        rows.append(" | ".join(cells))
    return "\n".join(f"| {row} |" for row in rows) + "\n"


def _learns(able: Capabilities) -> str:
    """Name a strategy's discovery: changes are pushed to it, it finds them itself, both, or neither."""
    found = [name for name, has in (("pushed", able.discovery == "pushed"), ("self", able.follows)) if has]
    return ", ".join(found) or "static"


def _membership(able: Capabilities) -> str:
    """Describe by what means a strategy learns of members that come and go."""
    pushed = "pushed (`membership: followed`)" if able.discovery == "pushed" else ""
    itself = f"self ({able.follows})" if able.follows else ""
    return ", ".join(filter(None, (pushed, itself))) or "static"


def _section(strategy: type[Strategy]) -> str:
    able = strategy.default_capabilities()
    facts = [
        f"balances {able.unit}s at layer {able.layer}; a unit is {ONE_UNIT[able.unit]}",
        f"policy: {able.policy}",
        f"predicted: {able.predicted}",
        "discovery: " + _membership(able),
        f"engines: {', '.join(filter(strategy.runs_on, ENGINES.names()))}",
    ]
    if able.most_members:
        facts.append(f"at most {able.most_members} instance{'' if able.most_members == 1 else 's'}")
    if strategy.commands:
        needed = sorted({f"`{how}`" for how in strategy.commands.values()})
        facts.append(f"needs {', '.join(strategy.commands)} ({', '.join(needed)})")
    text = f"## {strategy.name}\n\n{strategy.summary}\n\n"
    text += "".join(f"- {fact}\n" for fact in facts)
    text += f"\n```text\n{strategy.packet_path.strip(chr(10))}\n```\n"
    if options := list(_options(strategy)):
        rows = ["option | values | default | meaning", "--- | --- | --- | ---", *options]
        text += "\n" + "\n".join(f"| {row} |" for row in rows) + "\n"
    if policies := getattr(strategy, "policies", {}):
        rows = ["policy | unit | predicted | weights", "--- | --- | --- | ---"]
        rows += [
            f"`{row.name}` | {row.unit} | {row.predicted} | {_yes(row.weights)}" for row in policies.values()
        ]
        text += "\n" + "\n".join(f"| {row} |" for row in rows) + "\n"
    if strategy.caveats:
        text += f"\nCaveats:\n\n{strategy.caveats.strip(chr(10))}\n"
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

"""How results look in a notebook: the verdict first, then the figures; everything from outside escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment

from harness.common.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template

    from harness.summary.run import Summary

_MOST_INSTANCES: Final = 20
MOST_RESULTS: Final = 20
"""So many rows a table of results has at most."""

_COLOURS: Final = {"even": "#009e73", "uneven": "#d55e00"}
_SIGNS: Final = {"even": "\N{CHECK MARK}", "uneven": "\N{MULTIPLICATION X}", "inconclusive": "?"}

_BADGE: Final = """
{%- macro badge(verdict) -%}
<strong style="color:{{ colours.get(verdict, 'inherit') }}">{{ signs.get(verdict, '') }}
{{ verdict }}</strong>
{%- endmacro -%}
"""

_RESULT: Final = """
<div>
<p>{{ badge(verdict) }}{% if reason %}: {{ reason }}{% endif %}<br><small>{{ name }}</small></p>
{% if figures %}<table><tbody>
{%- for label, value in figures %}
<tr><th scope="row" style="text-align:left">{{ label }}</th><td style="text-align:left">{{ value }}</td></tr>
{%- endfor %}
</tbody></table>{% endif %}
{% if instances %}<table><thead><tr><th scope="col" style="text-align:left">instance</th>
<th scope="col">{{ unit }}s</th><th scope="col">share</th><th scope="col">interval</th>
<th scope="col">deviation</th></tr></thead><tbody>
{%- for row in instances %}
<tr><td style="text-align:left">{{ row.name }}</td><td>{{ row.units }}</td><td>{{ row.share }}</td>
<td>{{ row.interval }}</td><td>{{ row.deviation }}</td></tr>
{%- endfor %}
</tbody></table>{% endif %}
{% if more %}<p><small>{{ more }} more instances are in .distribution</small></p>{% endif %}
{%- for warning in warnings %}<p>warning: {{ warning }}</p>{% endfor %}
</div>
"""

_RESULTS: Final = """
<div>
<p>{{ number }} results</p>
<table><thead><tr><th scope="col" style="text-align:left">result</th><th scope="col">verdict</th>
<th scope="col">worst deviation</th><th scope="col">p50</th><th scope="col">p99</th>
<th scope="col">requests/s</th></tr></thead><tbody>
{%- for row in rows %}
<tr><td style="text-align:left">{{ row.name }}</td>
<td style="white-space:nowrap">{{ badge(row.verdict) }}</td>
<td>{{ row.worst }}</td>
<td>{{ row.p50 }}</td><td>{{ row.p99 }}</td><td>{{ row.throughput }}</td></tr>
{%- endfor %}
</tbody></table>
{% if more %}<p><small>{{ more }} more are in .table()</small></p>{% endif %}
</div>
"""

_MISSING: Final = "\N{EN DASH}"


def no_verdict_html(name: str, reason: str) -> str:
    """Give the page of a result that has no summary, or one that can't be read."""
    return _template(_RESULT).render(verdict="no verdict", reason=_shown(reason), name=_shown(name))


def result_html(name: str, summary: Summary, row: Mapping[str, Any]) -> str:
    """Give a result's page; `row` is what `Results.table` has of it."""
    instances = [
        {
            "name": _shown(row.name),
            "units": f"{getattr(row, f'{summary.unit}s'):,}",
            "share": _percent(row.share),
            "interval": _MISSING if row.interval is None else "\N{EN DASH}".join(map(_percent, row.interval)),
            "deviation": _percent(row.deviation, sign="+"),
        }
        for row in summary.instances[:_MOST_INSTANCES]
    ]
    return _template(_RESULT).render(
        verdict=summary.verdict,
        reason=_shown(summary.reason),
        name=_shown(name),
        figures=_figures(row),
        unit=summary.unit,
        instances=instances,
        more=max(len(summary.instances) - _MOST_INSTANCES, 0),
        warnings=[*map(_shown, summary.warnings)],
    )


def results_html(number: int, first: Sequence[Mapping[str, Any]]) -> str:
    """Give a table of results: how many there are, and what `Results.table` has of the first of them."""
    rows = [
        {
            "name": _shown(row["result"]),
            "verdict": row.get("verdict") or "no verdict",
            "worst": _number(row, "worst_deviation_percent", "{:+.1f} %"),
            "p50": _number(row, "latency_p50_ms", "{:.3g} ms"),
            "p99": _number(row, "latency_p99_ms", "{:.3g} ms"),
            "throughput": _number(row, "throughput_per_s", "{:,.0f}"),
        }
        for row in first
    ]
    return _template(_RESULTS).render(number=f"{number:,}", rows=rows, more=number - len(rows))


def _figures(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give what stands above the instances, of one result."""
    strategy = f"{row['strategy']}, {row['replicas']} instances, {row['connections']}"
    p50, p99 = (_number(row, f"latency_{name}_ms", "{:.3g} ms") for name in ("p50", "p99"))
    spent = {
        spender: _number(row, f"{spender}_cpu_us_per_request", "{:.3g} µs")
        for spender in ("proxy", "engine", "kernel", "instances", "generator")
    }
    cpu = ", ".join(f"{spender} {time}" for spender, time in spent.items() if time != _MISSING)
    return [
        ("strategy", _shown(strategy)),
        ("latency", f"p50 {p50}, p99 {p99}"),
        ("throughput", f"{_number(row, 'throughput_per_s', '{:,.0f}')} requests/s"),
        ("processor time", f"{cpu} per request" if cpu else _MISSING),
        ("errors", f"{row['errors']:,} of {row['requests']:,} requests"),
    ]


def _number(row: Mapping[str, Any], column: str, written: str) -> str:
    value = row.get(column)
    return _MISSING if value is None else _without_minus_nothing(written.format(value))


def _percent(share: float | None, sign: str = "") -> str:
    return _MISSING if share is None else _without_minus_nothing(f"{share * 100:{sign}.2f} %")


def _without_minus_nothing(number: str) -> str:
    """Give the nothing that a small negative number was rounded to its other sign."""
    return number if any(digit in number for digit in "123456789") else number.replace("-", "+")


def _shown(text: str) -> str:
    return printable(text)


@cache
def _template(text: str) -> Template:
    environment = Environment(autoescape=True)
    environment.globals |= {"colours": _COLOURS, "signs": _SIGNS}
    return environment.from_string(_BADGE + text)

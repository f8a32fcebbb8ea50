"""How results look in a notebook: the verdict first, then the figures; everything from outside escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment

from harness.common.text import printable
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

    from harness.notebook.library import Results
    from harness.notebook.result import Result

_MOST_INSTANCES: Final = 20
_MOST_RESULTS: Final = 20

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


def result_html(result: Result) -> str:
    """Give a result's page, of one that has no summary, too."""
    try:
        summary = result.document
    except HarnessError as error:
        return _template(_RESULT).render(
            verdict="no verdict", reason=_shown(str(error)), name=_shown(result.name)
        )
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
        name=_shown(result.name),
        figures=_figures(result.row()),
        unit=summary.unit,
        instances=instances,
        more=max(len(summary.instances) - _MOST_INSTANCES, 0),
        warnings=[*map(_shown, summary.warnings)],
    )


def results_html(results: Results) -> str:
    """Give a table of results, the first of them if there are many."""
    rows = []
    for result in results[:_MOST_RESULTS]:
        row = result.row()
        rows.append(
            {
                "name": _shown(result.name),
                "verdict": row.get("verdict") or "no verdict",
                "worst": _number(row, "worst_deviation_percent", "{:+.1f} %"),
                "p50": _number(row, "latency_p50_ms", "{:.3g} ms"),
                "p99": _number(row, "latency_p99_ms", "{:.3g} ms"),
                "throughput": _number(row, "throughput_per_s", "{:,.0f}"),
            }
        )
    more = max(len(results) - _MOST_RESULTS, 0)
    return _template(_RESULTS).render(number=f"{len(results):,}", rows=rows, more=more)


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

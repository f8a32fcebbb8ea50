"""What every column of the tables means; docs/python.md says the same in the same words.

A column's name ends with its unit: `_s`, `_ms`, `_us_per_request`, `_per_s`, `_percent`. Others are counts,
names, or true and false.
"""

from __future__ import annotations

from typing import Final

REQUESTS: Final = {
    "start_s": "when it was sent, in seconds after the first request of the measured load",
    "intended_start_s": "when it should have been: in an open loop, its arrival; in a closed one the same",
    "latency_ms": "from the intended start to the answer's last byte; of a failed one, until that was known",
    "latency_from_send_ms": "from when it was sent to the answer's last byte",
    "connect_ms": "from when it was sent until its connection was there; missing where it was before",
    "first_byte_ms": "from when it was sent to the answer's first byte; missing where none came",
    "connection": "the number of its connection, from 0",
    "source": "the number of the client address that it came from, from 0",
    "instance": "which instance answered; missing where nobody is known to have",
    "status": "the answer's HTTP status; missing without an answer",
    "error": "how it failed (`refused`, `reset`, `timed_out`, …); missing where it succeeded",
    "route": "whose request it was; missing where there are no routes",
}

CONNECTIONS: Final = {
    "connection": "its number, from 0",
    "source": "the number of the client address that it came from, from 0",
    "start_s": "when its first request was sent, in seconds after the first of all",
    "duration_s": "from then to the last byte of its last answer, or until that had failed",
    "connect_ms": "how long it took until it was there; missing where it never was",
    "requests": "how many requests were made on it",
    "errors": "how many of them failed",
    "instance": "which instance answered first on it; missing where nobody did",
    "instances": "how many different instances answered on it: more than one behind an HTTP proxy",
}

DISTRIBUTION: Final = {
    "instance": "its name",
    "units": "what it got of what the strategy balances (`result.document.unit`); all shares are of these",
    "connections": "connections on which it answered first",
    "requests": "requests that it answered, with an error or without",
    "sources": "client addresses to which it answered first",
    "share_percent": "its share of the units; missing where there are none",
    "expected_percent": "the share that it should have",
    "deviation_percent": "by how much the share differs, as a percentage of what is expected",
    "interval_low_percent": "lower end of the share's interval; those of all instances hold at once",
    "interval_high_percent": "upper end of the share's interval",
    "tolerated_low_percent": "the least share that the tolerance allows",
    "tolerated_high_percent": "the largest share that the tolerance allows",
    "residual": "standardised residual: about normal where the expected shares hold",
    "route": "its route, whose units its shares are of; missing where there are no routes",
}

ROUTES: Final = {
    "route": "its name",
    "path": "how the path of its requests begins; missing where routes are by host",
    "host": "for whom its requests are; missing where routes are by path",
    "replicas": "how many instances it has",
    "requests": "how many requests were made on it",
    "share_percent": "their share of all requests",
    "expected_percent": "the share that they should have, by the routes' weights",
    "errors": "how many of them failed",
    "misrouted": "how many of them an instance of another route answered",
    "verdict": "`even`, `uneven` or `inconclusive`: on its instances",
    "chi_square": "the chi-square statistic of its instances' expected shares; missing without units",
    "chi_square_p": "the p-value that belongs to it",
    "latency_p50_ms": "the median latency of those that succeeded; missing where none did",
    "latency_p99_ms": "latency that 99 of 100 did not exceed",
}

TIMELINE: Final = {
    "start_s": "when the window begins, in seconds after the first request of the measured load",
    "length_s": "how long it is; the last one ends with the last request",
    "requests": "requests that ended in it, with an answer or without",
    "errors": "how many of them failed",
    "throughput_per_s": "how many of them succeeded, for each second",
    "latency_p50_ms": "the median latency of those that succeeded; missing where none did",
    "latency_p99_ms": "latency that 99 of 100 did not exceed",
}

TIMELINE_BY_INSTANCE: Final = {
    "start_s": "when the window begins, as above",
    "length_s": "how long it is",
    "instance": "the instance's name",
    "requests": "requests that ended in the window and that it answered",
    "errors": "how many of them failed although it answered",
    "connections": "connections on which it answered first, in the window",
    "share_percent": "its share of those of its route that were answered in the window; missing without any",
}

TABLE: Final = {
    "result": "the name of the result's folder, or what it was",
    "suite": "the suite of condensed results that it is from, such as `reference`; missing elsewhere",
    "scenario": "the scenario's name",
    "strategy": "the strategy's name",
    "replicas": "how many instances there were",
    "connections": "`per-request`, `keep-alive`, or how many requests each has",
    "unit": "what the strategy balances: `connection`, `request` or `source`",
    "host": "the throw-away machine: `netns` or `vagrant`",
    "engine": "what ran the instances: `process`, `docker` or `podman`",
    "started_at": "when the measured load began, in UTC",
    "repeat": "which of the scenario's repetitions it is, from 1",
    "verdict": "`even`, `uneven` or `inconclusive`; missing where the run did not come to its end",
    "passed": "whether that is what the scenario expects",
    "worst_instance": "the instance whose share deviates most",
    "worst_deviation_percent": "by how much, with its sign, as a percentage of what is expected",
    "tolerance_percent": "how large a deviation the scenario tolerates",
    "confidence_percent": "how sure the verdict is",
    "chi_square_p": "p-value of the chi-square test of the expected shares",
    "units": "how many units were counted",
    "requests": "how many requests were made",
    "errors": "how many of them failed",
    "throughput_per_s": "requests that succeeded, for each second of the load",
    "latency_p50_ms": "the median latency of requests that succeeded, from their intended start",
    "latency_p90_ms": "latency that 90 of 100 did not exceed",
    "latency_p99_ms": "latency that 99 of 100 did not exceed",
    "latency_p99_9_ms": "latency that 999 of 1,000 did not exceed",
    "latency_max_ms": "the slowest",
    "cpu_us_per_request": "processor time of all processes: proxy, engine, instances and generator",
    "proxy_cpu_us_per_request": "processor time of the strategy's own programs; missing without any",
    "kernel_cpu_us_per_request": "what the machine spent in interrupts; contained in that of the processes",
    "instances_cpu_us_per_request": "processor time of the instances",
    "generator_cpu_us_per_request": "processor time of the load generator",
    "engine_cpu_us_per_request": "processor time of the container engine's own programs",
    "generator_busy_percent": "how much of a core the load generator used, the busiest if there were several",
    "limited_by": "who used up its processor time: `generator`, `instances`, `proxy`, `machine`; or nobody",
    "witnesses_agree": "whether all who counted counted the same; missing where only the client did",
    "load_s": "how long the measured load took",
    "warnings": "how many warnings the result has (`result.document.warnings`)",
    "has_requests": "whether the single requests are there, and not the summary alone",
}

EVENTS: Final = {
    "result": "the name of the result's folder, or what it was",
    "scenario": "the scenario's name",
    "strategy": "the strategy's name",
    "membership": "who tells it: a watcher (`followed`), nobody (`static`), or it finds out `by itself`",
    "repeat": "which of the scenario's repetitions it is, from 1",
    "number": "which of the run's events it is, from 1",
    "action": "`kill`, `stop`, `pause`, `resume`, `slow`, `fail`, `start` or `replace`",
    "event": "what was done, to whom",
    "at_s": "when it began, in seconds after the first request of the measured load",
    "took_s": "how long the engine took to carry it out",
    "followed_s": "after how long the strategy's members had been changed; missing where nobody changes them",
    "requests": "requests under way at the event or begun after it, until the next event or the end",
    "lost": "how many of them failed",
    "lost_percent": "the same as a percentage; missing without requests",
    "lost_by_class": "how many failed in which way, as in `625 timed_out, 3 refused`; missing where none did",
    "first_error_s": "after how long the first of them failed",
    "last_error_s": "after how long the last of them failed",
    "last_lost_began_s": "after how long the last of them began: who asked later was answered",
    "recovery": "`recovered`, `disturbed` (at the end it was not) or `unknown` (too few units followed)",
    "recovered_s": "from how long after it on shares were shown to be what they should; missing where not",
    "latency_p50_before_ms": "median latency of those that succeeded, since the event before",
    "latency_p99_before_ms": "latency that 99 of 100 of these did not exceed",
    "latency_p50_during_ms": "median latency from the event to the recovery; without one, to the next event",
    "latency_p99_during_ms": "latency that 99 of 100 of these did not exceed",
    "answered_after": "requests begun after the members had been changed that were answered by who had left",
    "recovers": "whether the run met what its scenario requires: `yes`, `no`, `inconclusive`; else missing",
}

TABLES: Final = {
    "requests": REQUESTS,
    "connections": CONNECTIONS,
    "distribution": DISTRIBUTION,
    "routes": ROUTES,
    "timeline": TIMELINE,
    "timeline by instance": TIMELINE_BY_INSTANCE,
    "table": TABLE,
    "events": EVENTS,
}
"""The columns of each table, in order, with their meaning."""

"""What every column of the tables means; docs/python.md says the same in the same words.

A column's name ends with its unit: `_s`, `_ms`, `_us_per_request`, `_per_s`, `_percent`. Others are counts,
names, or true and false.
"""

from __future__ import annotations

from typing import Final

REQUESTS: Final = {
    "start_s": "when the request was sent, in seconds after the first request of the measured load",
    "intended_start_s": "its intended start: the arrival in an open loop, `start_s` in a closed one",
    "latency_ms": "from the intended start to the answer's last byte, or to the failure",
    "latency_from_send_ms": "from `start_s` to the answer's last byte",
    "connect_ms": "from `start_s` until the connection was made; missing on an existing connection",
    "first_byte_ms": "from `start_s` to the answer's first byte; missing without an answer",
    "connection": "number of its connection, from 0",
    "source": "number of the client address, from 0",
    "instance": "the instance that answered; missing where it is unknown",
    "status": "the answer's HTTP status; missing without an answer",
    "stream": "number of its stream on the connection, modulo 65,536; missing where the protocol has none",
    "protocol_status": "the protocol's own status, such as gRPC's; missing where it has none",
    "error": "class of the failure (`refused`, `reset`, `timed_out`, …); missing on success",
    "route": "its route; missing where the scenario has none",
}

CONNECTIONS: Final = {
    "connection": "its number, from 0",
    "source": "number of the client address, from 0",
    "start_s": "when its first request was sent, in seconds after the first request of all",
    "duration_s": "from `start_s` to the last byte of its last answer, or to the last failure",
    "connect_ms": "how long connecting took; missing where it failed",
    "requests": "number of requests on it",
    "errors": "number of failed requests",
    "instance": "the first instance that answered on it; missing without an answer",
    "instances": "number of instances that answered on it: more than one behind an HTTP proxy",
}

DISTRIBUTION: Final = {
    "instance": "its name",
    "units": "number of its units (`result.document.unit` names the kind); shares are shares of units",
    "connections": "connections on which it was the first to answer",
    "requests": "requests that it answered, with or without an error",
    "sources": "client addresses that it was the first to answer",
    "share_percent": "its share of the units; missing without units",
    "expected_percent": "its expected share",
    "deviation_percent": "deviation of the share, as a percentage of the expected share",
    "interval_low_percent": "lower end of the share's interval; the intervals of all instances hold together",
    "interval_high_percent": "upper end of the share's interval",
    "tolerated_low_percent": "the smallest share within the tolerance",
    "tolerated_high_percent": "the largest share within the tolerance",
    "residual": "standardised residual: approximately normal where the expected shares hold",
    "route": "its route: shares are shares of the route's units; missing where the scenario has no routes",
}

ROUTES: Final = {
    "route": "its name",
    "path": "prefix of its requests' paths; missing for routes by host",
    "host": "host name of its requests; missing for routes by path",
    "replicas": "number of its instances",
    "requests": "number of requests on it",
    "share_percent": "its share of all requests",
    "expected_percent": "its expected share of all requests, by the routes' weights",
    "errors": "number of failed requests",
    "misrouted": "number of requests answered by an instance of another route",
    "verdict": "`even`, `uneven` or `inconclusive`, for the distribution over its instances",
    "chi_square": "chi-square statistic of its instances' expected shares; missing without units",
    "chi_square_p": "p-value of that statistic",
    "latency_p50_ms": "median latency of successful requests; missing without any",
    "latency_p99_ms": "99th percentile of the same",
}

TIMELINE: Final = {
    "start_s": "when the window begins, in seconds after the first request of the measured load",
    "length_s": "its length; the last window ends with the last request",
    "requests": "requests that ended in it, with or without an answer",
    "errors": "number of failed requests",
    "throughput_per_s": "successful requests per second",
    "latency_p50_ms": "median latency of successful requests; missing without any",
    "latency_p99_ms": "99th percentile of the same",
}

TIMELINE_BY_INSTANCE: Final = {
    "start_s": "when the window begins, as above",
    "length_s": "its length",
    "instance": "name of the instance",
    "requests": "requests that ended in the window and that the instance answered",
    "errors": "number of these that failed in spite of the answer",
    "connections": "connections on which it was the first to answer, in the window",
    "share_percent": "its share of its route's units that were answered in the window; missing without any",
}

TABLE: Final = {
    "result": "name of the result's folder, or of the folder it was archived from",
    "suite": "the suite of an archived result, such as `reference`; missing for others",
    "scenario": "name of the scenario",
    "strategy": "name of the strategy",
    "replicas": "number of instances",
    "connections": "`per-request`, `keep-alive`, or the number of requests on each connection",
    "unit": "the unit that the strategy balances: `connection`, `request`, `source` or `network`",
    "host": "the throw-away machine: `netns` or `vagrant`",
    "engine": "the engine that ran the instances: `process`, `docker` or `podman`",
    "started_at": "when the measured load began, in UTC",
    "repeat": "number of the scenario's repetition, from 1",
    "verdict": "`even`, `uneven` or `inconclusive`; missing for an incomplete run",
    "passed": "whether the verdict is the one that the scenario expects",
    "worst_instance": "the instance with the largest deviation",
    "worst_deviation_percent": "that deviation, with its sign, as a percentage of the expected share",
    "tolerance_percent": "the scenario's tolerance",
    "confidence_percent": "confidence of the verdict",
    "chi_square_p": "p-value of the chi-square test of the expected shares",
    "units": "number of units",
    "requests": "number of requests",
    "errors": "number of failed requests",
    "throughput_per_s": "successful requests per second of the load",
    "latency_p50_ms": "median latency of successful requests, from their intended start",
    "latency_p90_ms": "90th percentile of the same",
    "latency_p99_ms": "99th percentile of the same",
    "latency_p99_9_ms": "99.9th percentile of the same",
    "latency_max_ms": "the largest latency",
    "cpu_us_per_request": "processor time of all processes: proxy, engine, instances and generator",
    "proxy_cpu_us_per_request": "processor time of the strategy's own programs; missing without any",
    "kernel_cpu_us_per_request": "the machine's time in interrupts; contained in that of the processes",
    "instances_cpu_us_per_request": "processor time of the instances",
    "generator_cpu_us_per_request": "processor time of the load generator",
    "engine_cpu_us_per_request": "processor time of the container engine's own programs",
    "generator_busy_percent": "share of a core that the load generator (its busiest worker) used",
    "limited_by": "the CPU-bound component: `generator`, `instances`, `proxy`, `machine`; missing if none",
    "witnesses_agree": "whether client, instances, kernel or proxy agree; missing if only the client counts",
    "load_s": "duration of the measured load",
    "warnings": "number of warnings (`result.document.warnings`)",
    "has_requests": "whether the result has its requests, and not only a summary",
}

EVENTS: Final = {
    "result": "name of the result's folder, or of the folder it was archived from",
    "scenario": "name of the scenario",
    "strategy": "name of the strategy",
    "membership": "how the strategy learns of it: a watcher (`followed`), not (`static`), or `by itself`",
    "repeat": "number of the scenario's repetition, from 1",
    "number": "number of the event in its run, from 1",
    "action": "`kill`, `stop`, `pause`, `resume`, `slow`, `fail`, `start` or `replace`",
    "event": "the action and its instances",
    "at_s": "when the event began, in seconds after the first request of the measured load",
    "took_s": "how long the engine took for the action",
    "followed_s": "when the strategy's members had been changed; missing where nothing changes them",
    "requests": "requests in flight at the event or begun after it, until the next event or the end",
    "lost": "number of failed requests",
    "lost_percent": "`lost` as a percentage of `requests`; missing without requests",
    "lost_by_class": "number of failures by class, as in `625 timed_out, 3 refused`; missing without any",
    "first_error_s": "when the first lost request failed",
    "last_error_s": "when the last lost request failed",
    "last_lost_began_s": "when the last lost request began: all later requests were answered",
    "recovery": "`recovered`, `disturbed` (not recovered at the end) or `unknown` (too few units followed)",
    "recovered_s": "from when on the shares were shown to be as intended; missing without a recovery",
    "latency_p50_before_ms": "median latency of successful requests since the event before",
    "latency_p99_before_ms": "99th percentile of the same",
    "latency_p50_during_ms": "median latency from the event to the recovery; without one, to the next event",
    "latency_p99_during_ms": "99th percentile of the same",
    "answered_after": "requests begun after the change of members, but answered by an instance that had left",
    "recovers": "whether the run met the scenario's `recovers`: `yes`, `no`, `inconclusive`; else missing",
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

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# Locust patches the process that imports it for gevent, so this runs in one of its own. The clock that
# Locust's own log() looks at is set to the end of each request.
_COMPARE = """
import json, random, time
import locust.stats
import numpy as np
from locust.stats import RequestStats, bucket_response_time
from harness.load.feed import StatsFeed, response_time_buckets
from harness.recording.layout import ERRORS, STRUCT, as_array, NO_INSTANCE

random.seed(5)
now_ns = time.time_ns()
requests = []
for n in range(3000):
    latency_ns = int(10 ** random.uniform(4, 10.5))
    requests.append((now_ns + n * 1_000_000 - latency_ns, latency_ns, random.choice([0, 0, 0, 1, 8])))

real_time, clock = time.time, [0.0]
ours, theirs = RequestStats(), RequestStats()
feed = StatsFeed(ours, "/", 0)
packed = [STRUCT.pack(s, s, l, 0, l, 0, NO_INSTANCE, 200, 0, 0, 0, e, 0) for s, l, e in requests]
for at in range(0, 3000, 700):
    feed.add(as_array(b"".join(packed[at:at + 700])), 5 * len(packed[at:at + 700]))
time.time = lambda: clock[0]
for start_ns, latency_ns, error in requests:
    clock[0] = (start_ns + latency_ns) / 1e9
    theirs.log_request("GET", "/", latency_ns / 1e6, 5)
    if error:
        theirs.log_error("GET", "/", ERRORS[error])
time.time = real_time

def shape(stats):
    entries = [stats.total, stats.entries[("/", "GET")]]
    errors = sorted((e.error, e.method, e.name, e.occurrences) for e in stats.errors.values())
    return [{k: v for k, v in e.serialize().items() if k != "start_time"} for e in entries], errors

edges = [n * 500_000 + d for n in range(300) for d in (-1, 0, 1) if n * 500_000 + d >= 0]
edges += [n * 5_000_000 + d for n in range(300) for d in (-1, 0, 1) if n * 5_000_000 + d >= 0]
edges += [n * 50_000_000 + d for n in range(600) for d in (-1, 0, 1) if n * 50_000_000 + d >= 0]
buckets = response_time_buckets(np.array(edges)).tolist()
wrong = [(e, b) for e, b in zip(edges, buckets) if b != bucket_response_time(e / 1e6)]
print(json.dumps({"ours": shape(ours), "theirs": shape(theirs), "wrong": wrong}))
"""


@pytest.fixture(scope="module")
def compared() -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-c", _COMPARE], capture_output=True, timeout=30, check=True, text=True
    )
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_batches_leave_the_statistics_that_single_requests_leave(compared: dict[str, Any]) -> None:
    """Every field that Locust reports is what its own log() would have made of the same requests."""
    for ours, theirs in zip(compared["ours"][0], compared["theirs"][0], strict=True):
        for name in (
            "total_response_time",
            "min_response_time",
            "max_response_time",
            "last_request_timestamp",
        ):
            assert ours.pop(name) == pytest.approx(theirs.pop(name), rel=1e-9)
        assert ours == theirs


def test_batches_leave_the_errors_that_single_requests_leave(compared: dict[str, Any]) -> None:
    """Locust's table of failures shows the classes and how often each was met."""
    for ours, theirs in zip(compared["ours"][1], compared["theirs"][1], strict=True):
        assert ours == theirs


def test_response_times_are_rounded_as_locust_rounds_them(compared: dict[str, Any]) -> None:
    """Two digits, halves to even, right up to the edges between the steps."""
    assert compared["wrong"] == []

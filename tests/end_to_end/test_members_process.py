"""Members come and go on the embedded engine: what the client records, and what the instances say, agree."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.recording.table import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.end_to_end.conftest import Command

_LOAD = (
    "load: {{model: open, rate: 200/s, timeout: 1s, warm_up: 200ms, duration: {duration}}}\ntolerance: 45%\n"
)

# Writes down when it answers each request, before it does.
_LOGS = """
import os, socket, sys, time
log = open(os.path.join(sys.argv[1], os.environ["INSTANCE"]), "ab", buffering=0)
answer = f"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nX-Instance: {os.environ['INSTANCE']}\\r\\n"
answer += "Connection: close\\r\\n\\r\\n"
listener = socket.create_server(("", int(os.environ["PORT"])), backlog=100)
while True:
    sock, _ = listener.accept()
    asked = b""
    while not asked.endswith(b"\\r\\n\\r\\n") and (more := sock.recv(4096)):
        asked += more
    if asked:
        log.write(f"{time.monotonic_ns()}\\n".encode())
        try:
            sock.sendall(answer.encode())
        except OSError:
            pass
    sock.close()
"""


def _run(harness: Command, scenario: str, *more: str) -> tuple[dict[str, Any], Recording]:
    finished = harness("run", harness.scenario(scenario), "--json", *more)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    (folder,) = (harness.folder / "results").iterdir()
    return json.loads(finished.stdout), Recording.from_parquet(folder / "requests.parquet")


def _began_s(recording: Recording, name: str) -> NDArray[np.float64]:
    """Give when the requests began that an instance answered, in seconds since the load did."""
    rows = recording.rows[recording.rows["instance"] == recording.instances.index(name)]
    began_s: NDArray[np.float64] = (rows["start_ns"] - recording.started_ns) / 1e9
    return began_s


def test_a_killed_instance_agrees_with_the_recording_request_by_request(
    harness: Command, tmp_path: Path
) -> None:
    """Its own log, to the moment it was killed: each line lies within a request of the one user."""
    program = tmp_path / "logs.py"
    program.write_text(_LOGS)
    summary, recording = _run(
        harness,
        "strategy: dnat-random\nreplicas: 3\nmembership: followed\ntolerance: 60%\n"
        f"application: {{command: [{sys.executable}, {program}, {tmp_path}]}}\n"
        "load: {users: 1, timeout: 1s, warm_up: 200ms, duration: 3s}\n"
        "events: [{at: 1500ms, kill: instance-2}]\n",
    )
    (event,) = summary["events"]
    logged_ns = np.array((tmp_path / "instance-2").read_text().split(), dtype=np.int64)
    logged_ns = logged_ns[logged_ns >= recording.started_ns]
    rows = recording.rows[recording.rows["instance"] == recording.instances.index("instance-2")]
    unanswered = len(logged_ns) - len(rows)
    assert unanswered in {0, 1}  # killed between its log and its answer
    logged_ns = logged_ns[: len(rows)]
    assert len(rows) > 5
    assert (rows["start_ns"] <= logged_ns).all()
    assert (logged_ns <= rows["start_ns"] + rows["latency_ns"]).all()
    assert _began_s(recording, "instance-2").max() <= event["at_s"] + 0.5
    assert event["followed_s"] is not None
    assert (event["last_lost_began_s"] or 0) <= event["followed_s"]


def test_whatever_happens_no_request_is_counted_twice_or_not_at_all(harness: Command) -> None:
    """The instances' own counts survive their deaths: with the client's, they are one and the same."""
    summary, recording = _run(
        harness,
        "strategy: dnat-random\nreplicas: 3\nmembership: followed\n"
        + _LOAD.format(duration="6s")
        + "events:\n"
        "  - {at: 1s, stop: 1}\n"
        "  - {at: 2s, start: 1}\n"
        "  - {at: 3s, pause: instance-1}\n"
        "  - {at: 3500ms, resume: all}\n"
        "  - {at: 4s, slow: 100ms, who: instance-2}\n"
        "  - {at: 4s, fail: 50%, who: instance-1}\n"
        "  - {at: 5s, replace: all, with: green, style: blue-green}\n",
    )
    stop, start, pause, resume, slow, fail, replace = summary["events"]
    assert [row["name"] for row in summary["instances"]] == list(recording.instances)
    assert recording.instances[3:] == ("instance-4", "green-1", "green-2", "green-3")
    assert summary["witnesses"]["agree"], summary["witnesses"]["differences"]
    for event in (stop, start):
        assert event["followed_s"] is not None
    # What is lost began before everybody knew.
    assert (stop["last_lost_began_s"] or 0) <= stop["followed_s"]
    assert _began_s(recording, "instance-4").min() >= start["at_s"]
    # Who asked the frozen one was answered when it went on, and not before.
    frozen = recording.rows[recording.rows["instance"] == recording.instances.index("instance-1")]
    ends_s = (frozen["start_ns"] + frozen["latency_ns"] - recording.started_ns) / 1e9
    frozen_s = pause["at_s"] + pause["took_s"] + 0.02  # answers may be on their way
    assert frozen_s < resume["at_s"]
    assert not ((ends_s > frozen_s) & (ends_s < resume["at_s"])).any()
    assert pause["followed_s"] is None
    for name, event in (("instance-2", slow), ("instance-1", fail)):
        whose = recording.rows["instance"] == recording.instances.index(name)
        since = whose & (recording.rows["start_ns"] > recording.started_ns + event["at_s"] * 1e9 + 50_000_000)
        rows = recording.rows[since]
        if event is slow:
            assert rows["latency_ns"].min() >= 100_000_000
        else:
            assert (rows["status"] == 500).sum() == pytest.approx(len(rows) / 2, abs=1)
    cut_s = replace["at_s"] + replace["followed_s"]
    assert all(_began_s(recording, f"instance-{k}").max() < cut_s + 0.1 for k in (1, 2, 4))
    assert all(_began_s(recording, f"green-{k}").min() > replace["at_s"] for k in (1, 2, 3))


def test_a_canary_gets_its_share_and_an_address_that_comes_again_is_served_again(harness: Command) -> None:
    """Nobody tells the rules of the killed one; it has its old address when it comes again."""
    summary, recording = _run(
        harness,
        "strategy: nft-round-robin\nreplicas: 3\n" + _LOAD.format(duration="7s") + "events:\n"
        "  - {at: 1s, kill: instance-2}\n"
        "  - {at: 2s, start: instance-2}\n"
        "  - {at: 3s, replace: 1, with: green, style: canary, weights: {green: 25%}}\n",
    )
    kill, start, canary = summary["events"]
    assert kill["lost"] == pytest.approx(200 / 3, rel=0.4)
    assert _began_s(recording, "instance-2").max() > start["at_s"] + 0.5
    since = recording.started_ns + (canary["at_s"] + canary["followed_s"] + 0.1) * 1e9
    rows = recording.rows[(recording.rows["start_ns"] > since) & (recording.rows["error"] == 0)]
    greens = (rows["instance"] == recording.instances.index("green-1")).sum()
    assert greens == pytest.approx(len(rows) * 0.25, rel=0.2)
    assert {row["name"]: row["share"] for row in summary["instances"]}["green-1"] is None


def test_a_proxy_loses_nothing_when_one_is_replaced(harness: Command) -> None:
    """The new one is there before the old one goes, which answers whoever has connected."""
    summary, recording = _run(
        harness,
        "strategy: {name: haproxy, health_checks: true}\nreplicas: 3\n"
        + _LOAD.format(duration="12s")
        + "events: [{at: 1s, replace: 1, with: green, style: rolling}]\n",
    )
    (event,) = summary["events"]
    assert (event["members"], summary["counts"]["errors"]) == (["instance-3"], 0)
    assert len(_began_s(recording, "green-1"))
    assert _began_s(recording, "instance-3").max() <= event["at_s"] + event["took_s"]


def test_a_socket_that_joins_the_group_is_found_by_nobody_but_the_kernel(harness: Command) -> None:
    """Nobody can tell the strategy, which is said; it needs no telling."""
    summary, recording = _run(
        harness,
        "strategy: so-reuseport-sandbox\nreplicas: 2\nmembership: followed\n"
        + _LOAD.format(duration="4s")
        + "events: [{at: 1s, start: 1}, {at: 2s, kill: instance-1}]\n",
    )
    joined = _began_s(recording, "instance-3")
    assert joined.min() < summary["events"][0]["at_s"] + 0.5
    assert len(joined) > 100
    (warning,) = summary["warnings"]
    assert "so-reuseport-sandbox can't change its members" in warning
    kill = summary["events"][1]
    assert kill["last_lost_began_s"] is None or kill["last_lost_began_s"] <= kill["took_s"]

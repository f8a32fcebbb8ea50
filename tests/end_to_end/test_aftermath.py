"""What events cost, in real runs: against the instance's own log, and when a run is repeated."""

from __future__ import annotations

import json
import sys
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.hosts.address_plan import IPV4
from harness.recording.table import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Command

_APPLICATION = """
import os, socket, time

name = os.environ["INSTANCE"]
with socket.create_server(("", int(os.environ["PORT"])), backlog=64) as listener:
    with open(f"{os.environ['LOGS']}/{name}", "w", buffering=1) as log:
        while True:
            connection, (client, _) = listener.accept()
            with connection:
                if connection.recv(4096):
                    log.write(f"{client} {time.monotonic_ns()}\\n")
                    connection.sendall(
                        f"HTTP/1.1 200 OK\\r\\nX-Instance: {name}\\r\\nContent-Length: 0\\r\\n"
                        "Connection: close\\r\\n\\r\\n".encode()
                    )
"""
_KILLED = """
strategy: {strategy}
replicas: 4
tolerance: 40%
seed: 7
load: {{model: open, rate: 400/s, timeout: 400ms, sources: {{count: 16000, pattern: consecutive}},
  warm_up: 0s, duration: 3s}}
events: [{{at: 1s, kill: instance-2}}]
recovers: {recovers}
"""


def _recordings(folder: Path) -> list[Recording]:
    return [Recording.from_parquet(path) for path in sorted(folder.glob("results/*/requests.parquet"))]


def test_the_recording_of_a_killed_instance_is_its_own_log_request_by_request(harness: Command) -> None:
    """Each answer was logged between its request and its arrival, and nothing else was logged.

    Which is which, the client's address says: each request has its own, and the rules keep it. What was
    logged last may never have been sent: the kill came between the two.
    """
    program, logs = harness.folder / "app.py", harness.folder / "logs"
    program.write_text(_APPLICATION)
    logs.mkdir()
    text = _KILLED.format(strategy="dnat-random", recovers="{lost: 60%}")
    text += f"application: {{command: [{sys.executable}, {program}], env: {{LOGS: {logs}}}}}\n"
    finished = harness("run", harness.scenario(text), "--json")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    (recording,) = _recordings(harness.folder)
    assert np.unique(recording.rows["source"]).size == len(recording.rows)
    first = int(IPv4Address(IPV4.sources("external", 1)[0]))
    for name in recording.instances:
        lines = [line.split() for line in (logs / name).read_text().splitlines()]
        logged = {int(IPv4Address(client)) - first: int(moment_ns) for client, moment_ns in lines}
        assert len(logged) == len(lines)
        rows = recording.rows[recording.rows["instance"] == recording.instances.index(name)]
        assert not rows["error"].any()
        unanswered = logged.keys() - set(rows["source"].tolist())
        assert unanswered <= ({list(logged)[-1]} if name == "instance-2" else set())
        moments_ns = np.array([logged[source] for source in rows["source"].tolist()])
        assert (rows["start_ns"] <= moments_ns).all()
        assert (moments_ns <= rows["start_ns"] + rows["latency_ns"]).all()
    (event,) = json.loads(finished.stdout)["events"]
    assert event["last_answer_s"] is None or event["last_answer_s"] < 0.4
    assert event["established"]["lost"] + event["new"]["lost"] == event["lost"]


def _events(harness: Command, status: int, repeat: int, **words: str) -> list[dict[str, Any]]:
    finished = harness(
        "run", harness.scenario(_KILLED.format(**words)), "--json", "--set", f"repeat={repeat}"
    )
    assert finished.returncode == status, finished.stderr + finished.stdout
    summaries = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len(summaries) == repeat
    return [summary["events"][0] | {"recovers": summary["recovers"]} for summary in summaries]


def test_repeating_a_seeded_scenario_gives_the_same_losses(harness: Command) -> None:
    """A rule that nobody changes sends each new connection to the dead with a probability of one in four.

    So the runs' shares have to agree with that, and with each other, within four standard errors.
    """
    runs = _events(harness, 1, 3, strategy="dnat-random", recovers="{within: 1s}")
    requests = np.array([run["requests"] for run in runs])
    lost = np.array([run["lost"] for run in runs])
    assert (np.abs(lost - requests / 4) <= 4 * np.sqrt(requests * 3 / 16)).all(), (lost, requests)
    together = lost.sum() / requests.sum()
    assert (np.abs(lost - requests * together) <= 4 * np.sqrt(requests * 3 / 16)).all()
    for run in runs:
        assert run["recovery"]["state"] == "disturbed"
        assert run["recovers"]["passed"] == "no"
        assert run["new"]["lost"] == run["lost"]
        assert run["last_lost_began_s"] > 1.5


def test_a_socket_that_is_gone_is_recovered_from(harness: Command) -> None:
    """The kernel forgets a closed socket of the group: what was in its backlog is all that is lost."""
    (run,) = _events(harness, 0, 1, strategy="so-reuseport-sandbox", recovers="{within: 1s, lost: 2%}")
    assert run["recovery"]["state"] == "recovered"
    assert run["recovers"]["passed"] == "yes"
    assert run["unanswered"] + run["unreached"] <= run["lost"]

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LoadError, ResultError
from harness.recording.layout import ERRORS, NO_INSTANCE, STATUS, TIMED_OUT, dtype
from harness.recording.table import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints: TypeAlias = "Sequence[int] | np.ndarray[Any, Any]"
NAMES = ["instance-1", "instance-2", "instance-3"]
_REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def rows(instance: Ints, connection: Ints | None = None, error: Ints | None = None) -> np.ndarray[Any, Any]:
    """Make records, a millisecond apart, each on a connection of its own unless told otherwise."""
    made = np.zeros(len(instance), dtype())
    made["instance"] = instance
    made["connection"] = range(len(instance)) if connection is None else connection
    made["error"] = 0 if error is None else error
    made["start_ns"] = made["intended_start_ns"] = 10**12 + np.arange(len(instance)) * 1_000_000
    made["latency_ns"] = 1000 + np.arange(len(instance))
    made["status"] = np.where(made["error"] == 0, 200, 0)
    return made


def read(
    records: np.ndarray[Any, Any],
    identities: Sequence[str] = NAMES,
    names: Sequence[str] = NAMES,
) -> Recording:
    """Give the recording of these records, which stay as they are."""
    return Recording.of_run(records.copy(), identities, names)


def test_the_generators_order_becomes_the_scenarios() -> None:
    """An instance is known by its name, whichever answered first."""
    recording = read(rows([0, 0, 0, 1]), identities=["instance-3", "instance-1"])
    assert recording.instances == tuple(NAMES)
    assert recording.named
    assert recording.requests_by_instance().tolist() == [1, 0, 3]


@given(st.lists(st.sampled_from([0, 1, 2, NO_INSTANCE]), max_size=60), st.permutations(NAMES))
def test_every_request_is_counted_once(instance: list[int], identities: list[str]) -> None:
    """Counts and unattributed requests add up, and follow the names through any order."""
    recording = read(rows(instance), identities=identities)
    counts = recording.requests_by_instance()
    assert int(counts.sum()) + recording.unattributed("request") == len(instance)
    for index, name in enumerate(identities):
        assert counts[NAMES.index(name)] == instance.count(index)


def test_a_connection_counts_once_for_whoever_answered_first() -> None:
    """Kept-alive requests are one connection; behind a layer-7 proxy the first answer decides."""
    recording = read(rows([NO_INSTANCE, 1, 2, 2, 0, 0], connection=[7, 7, 7, 9, 4, 4]))
    assert recording.connections_by_instance().tolist() == [1, 1, 1]
    assert recording.requests_by_instance().tolist() == [2, 1, 2]


def test_a_connection_without_any_answer_is_unattributed() -> None:
    """One identified answer is enough to name a connection's instance."""
    recording = read(rows([NO_INSTANCE, 1, NO_INSTANCE, NO_INSTANCE], connection=[1, 1, 2, 2]))
    assert recording.unattributed("connection") == 1
    assert recording.unattributed("request") == 3


def test_a_source_counts_once_for_whoever_answered_it_first() -> None:
    """Client addresses are counted as connections are."""
    records = rows([0, 1, 2, NO_INSTANCE])
    records["source"] = [5, 5, 6, 7]
    recording = read(records)
    assert recording.sources_by_instance().tolist() == [1, 0, 1]
    assert recording.units_by_instance("source").tolist() == [1, 0, 1]
    assert recording.unattributed("source") == 1


def test_an_application_may_name_its_instances_itself() -> None:
    """Foreign identities become the instances, sorted as people count, filled up to the replicas."""
    identities = ["web-10", "web-2"]
    recording = read(rows([0, 0, 1]), identities, names=[*NAMES, "instance-4"])
    assert recording.instances == ("web-2", "web-10", "(unseen 1)", "(unseen 2)")
    assert not recording.named
    assert recording.requests_by_instance().tolist() == [1, 2, 0, 0]


def test_an_identity_that_changes_with_every_answer_is_explained() -> None:
    """More identities than replicas can't be instances; the message says what an identity must be."""
    identities = [f"request-{i}" for i in range(4)]
    with pytest.raises(LoadError, match=r"4 different identities .*'request-0' and 'request-1'.* 3 replicas"):
        read(rows([0, 1, 2, 3]), identities)


def test_identities_that_no_file_can_hold_are_written_as_escapes(tmp_path: Path) -> None:
    """A lone surrogate, from bytes that were no UTF-8, stops neither Parquet nor JSON."""
    recording = read(rows([0]), ["\udcff"])
    assert recording.instances == ("\\udcff", "(unseen 1)", "(unseen 2)")
    recording.to_parquet(tmp_path / "requests.parquet")


def test_a_damaged_file_is_a_load_error() -> None:
    """An identity that was never listed, or an error class that isn't one, is told."""
    with pytest.raises(LoadError, match="identity number 3"):
        read(rows([3]))
    with pytest.raises(LoadError, match="unknown error"):
        read(rows([0], error=[len(ERRORS)]))


def test_errors_are_counted_by_class_and_their_latency_left_out() -> None:
    """Failed requests, with an instance or without, are counted and no part of the latency."""
    recording = read(rows([0, 1, NO_INSTANCE], error=[0, STATUS, TIMED_OUT]))
    assert recording.errors_by_class() == {"timed_out": 1, "status": 1}
    assert recording.latencies_ns().tolist() == [1000]
    assert recording.requests_by_instance().tolist() == [1, 1, 0]


def test_latency_counts_from_the_intended_start() -> None:
    """In an open loop, what a request waited for its turn is part of its latency."""
    records = rows([0])
    records["intended_start_ns"] -= 5000
    assert read(records).latencies_ns().tolist() == [6000]


def test_starts_belong_to_the_latencies() -> None:
    """Of the successful requests alone, in their order, and the start that the latency counts from."""
    records = rows([0, 1, 2], error=[0, TIMED_OUT, 0])
    records["intended_start_ns"] -= 5000
    assert read(records).starts_ns().tolist() == [records["intended_start_ns"][i] for i in (0, 2)]


def test_parts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are handled at a time, counts, choices and the stored rows stay what they are."""
    rng = np.random.default_rng(4)
    records = rows(rng.choice([0, 1, 2, NO_INSTANCE], 100), connection=rng.integers(60, size=100))
    records["start_ns"] += rng.integers(10**7, size=100)
    whole = read(records)
    expected = facts(whole)
    monkeypatch.setattr("harness.recording.table.PART", 7)
    monkeypatch.setattr("harness.recording.counting.PART", 7)
    parted = read(records)
    assert facts(parted) == expected
    parted.to_parquet(tmp_path / "requests.parquet")
    assert (Recording.from_parquet(tmp_path / "requests.parquet").rows == whole.rows).all()


def facts(recording: Recording) -> list[list[int]]:
    """Give all that is counted of connections and requests."""
    times, choices = recording.choices("connection")
    counted = (recording.connections_by_instance(), recording.requests_by_instance(), times, choices)
    found = [array.tolist() for array in (*counted, recording.requests_by_unit("connection"))]
    return [*found, [recording.unattributed("connection")]]


def test_choices_are_in_the_order_of_time() -> None:
    """Connections that started in another order than they are numbered are put right."""
    records = rows([0, 1, 2, 2], connection=[2, 1, 0, 2])
    times, choices = read(records).choices("connection")
    assert times.tolist() == records["start_ns"][:3].tolist()
    assert choices.tolist() == [0, 1, 2]


def test_empty_recording_is_all_zeros() -> None:
    """An empty file is a recording without requests."""
    recording = read(rows([]))
    assert recording.requests_by_instance().tolist() == [0, 0, 0]
    assert recording.connections_by_instance().tolist() == [0, 0, 0]
    assert recording.unattributed("connection") == 0
    assert recording.errors_by_class() == {}
    assert recording.latencies_ns().size == 0


@pytest.mark.parametrize("count", [0, 1, 500])
def test_parquet_gives_back_every_row(tmp_path: Path, count: int) -> None:
    """A recording that was written and read is the same, instances without requests too."""
    rng = np.random.default_rng(count)
    records = rows(rng.choice([0, 2, NO_INSTANCE], count), error=rng.choice([0, TIMED_OUT], count))
    records["intended_start_ns"] -= 17
    recording = read(records)
    recording.to_parquet(tmp_path / "requests.parquet")
    again = Recording.from_parquet(tmp_path / "requests.parquet")
    assert np.array_equal(again.rows, recording.rows)
    assert again.rows.dtype == recording.rows.dtype
    assert (again.instances, again.started_ns, again.named) == (tuple(NAMES), recording.started_ns, True)
    assert again.started_at == recording.started_at


def test_parquet_is_legible_without_the_harness(tmp_path: Path) -> None:
    """Names instead of numbers, null for what isn't there, times from the start, units in the metadata."""
    import pandas as pd
    import pyarrow.parquet as pq

    recording = read(rows([2, NO_INSTANCE], error=[0, TIMED_OUT]))
    recording.to_parquet(tmp_path / "requests.parquet")
    table = pd.read_parquet(tmp_path / "requests.parquet")
    assert table["instance"].to_list()[0] == "instance-3"
    assert table["instance"].isna().to_list() == [False, True]
    assert table["error"].isna().to_list() == [True, False]
    assert table["error"].to_list()[1] == "timed_out"
    assert table["start_ns"].to_list() == [0, 1_000_000]
    metadata = pq.read_schema(tmp_path / "requests.parquet").metadata
    assert metadata[b"started_at"].decode() == recording.started_at.isoformat()
    assert json.loads(metadata[b"units"])["latency_ns"] == "ns"


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but no more"])
def test_reader_explains_why_a_file_is_no_recording(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or damaged file is an error that names it."""
    path = tmp_path / "requests.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResultError, match=r"requests\.parquet: is no recording"):
        Recording.from_parquet(path)


def test_reader_refuses_other_parquet_files(tmp_path: Path) -> None:
    """A file without the harness's metadata is refused."""
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ResultError, match="is no recording"):
        Recording.from_parquet(tmp_path / "other.parquet")


def test_before_an_event_there_are_those_alone_that_were_there() -> None:
    """Whoever came later has no place among them, and nothing else changes."""
    recording = read(rows([0, 1, 0, NO_INSTANCE, 2]))
    before = recording.before(recording.started_ns + 4_000_000, 2)
    assert before.instances == tuple(NAMES[:2])
    assert before.requests_by_instance().tolist() == [2, 1]
    assert before.unattributed("request") == 1
    assert recording.requests_by_instance().tolist() == [2, 1, 1]
    with pytest.raises(LoadError, match="3 instances answered before the first event; there were 2"):
        recording.before(recording.started_ns + 5_000_000, 2)


def test_with_names_of_their_own_those_were_there_that_answered() -> None:
    """Nobody else knows."""
    recording = read(rows([2, 0, 2, 1]), identities=["y", "x", "z"], names=["a", "b", "c"])
    assert recording.instances == ("x", "y", "z")
    before = recording.before(recording.started_ns + 3_000_000, 2)
    assert before.instances == ("y", "z")
    assert before.requests_by_instance().tolist() == [1, 2]


def test_parquet_says_whose_a_request_was(tmp_path: Path) -> None:
    """By the route's name, where there are routes; else there is no such column, as there never was."""
    import pyarrow.parquet as pq

    records = rows([0, 1, 2, 0])
    read(records).to_parquet(tmp_path / "plain.parquet")
    assert "route" not in pq.read_schema(tmp_path / "plain.parquet").names
    assert Recording.from_parquet(tmp_path / "plain.parquet").routes == ()
    records["route"] = [1, 0, 1, 1]
    with pytest.raises(LoadError, match="an unknown route"):
        Recording.of_run(records.copy(), NAMES, NAMES, ["api"])
    recording = Recording.of_run(records.copy(), NAMES, NAMES, ["api", "web"])
    recording.to_parquet(tmp_path / "routed.parquet")
    again = Recording.from_parquet(tmp_path / "routed.parquet")
    assert (again.routes, again.rows["route"].tolist()) == (("api", "web"), [1, 0, 1, 1])
    assert pq.read_table(tmp_path / "routed.parquet")["route"].to_pylist() == ["web", "api", "web", "web"]


def test_parquet_keeps_what_is_the_protocol_s_own(tmp_path: Path) -> None:
    """Streams and statuses of another protocol are read back; HTTP/1.1 has neither, and no such columns."""
    import pyarrow.parquet as pq

    records = rows([0, 1, 2])
    plain, other = tmp_path / "plain.parquet", tmp_path / "other.parquet"
    read(records).to_parquet(plain)
    assert not {"stream", "protocol_status"} & set(pq.read_schema(plain).names)
    again = Recording.from_parquet(plain)
    assert (again.transport, again.codec, again.rows["stream"].max()) == ("tcp", "http1", 0)
    records["stream"], records["protocol_status"] = [1, 3, 65_535], [0, 14, 4_999]
    replace(read(records), transport="udp", codec="datagram").to_parquet(other)
    again = Recording.from_parquet(other)
    assert (again.transport, again.codec) == ("udp", "datagram")
    assert again.rows["stream"].tolist() == [1, 3, 65_535]
    assert again.rows["protocol_status"].tolist() == [0, 14, 4_999]


def test_recordings_of_before_there_were_protocols_are_read() -> None:
    """Their files name none: all were of HTTP/1.1 over TCP."""
    import pyarrow.parquet as pq

    paths = sorted(_REFERENCE.rglob("requests.parquet"))
    old = [path for path in paths if b"codec" not in pq.read_schema(path).metadata]
    assert old
    recording = Recording.from_parquet(old[0])
    assert (recording.transport, recording.codec) == ("tcp", "http1")
    assert len(recording.rows) == pq.read_metadata(old[0]).num_rows
    assert not recording.rows["stream"].any()


def test_a_route_has_its_own_instances_alone() -> None:
    """Who answered and is none of them is nobody there; the whole stays as it was."""
    records = rows([0, 1, 2, NO_INSTANCE])
    records["route"] = [0, 0, 1, 0]
    whole = Recording.of_run(records, NAMES, NAMES, ["a", "b"])
    own = whole.of_route(0, ["instance-2", "instance-3"])
    assert own.rows["instance"].tolist() == [NO_INSTANCE, 0, NO_INSTANCE]
    assert own.units_by_instance("request").tolist() == [1, 0]
    assert whole.rows["instance"].tolist() == [0, 1, 2, NO_INSTANCE]
    assert whole.in_all_of_route(np.array([[5, 6, 7]])).tolist() == [[11, 11, 7]]

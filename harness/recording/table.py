"""The request table: one row for every request of the measured part of a run, nothing sampled away."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from harness.common.files import open_file
from harness.errors import LoadError, ResultError
from harness.recording.arrow import MAYBE, PROTOCOL_S_OWN, UNITS, as_column, as_dictionary, fill
from harness.recording.counting import PART, by_instance, first_answers, occurrences
from harness.recording.identities import own_names, relabel
from harness.recording.layout import ERRORS, NO_INSTANCE, NOT_THERE, STATUS, dtype
from harness.types import networks_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.types import Unit


@dataclass(frozen=True, eq=False)
class Recording:
    """Every request of the measured part of a run.

    Attributes
    ----------
    rows
        A structured array of `harness.recording.layout.dtype()`; times are on the monotonic clock, and
        the column `instance` is an index into `instances`, or `NO_INSTANCE`.
    instances
        The instances' names, those that never answered too.
    started_ns
        Start of the earliest request, on the monotonic clock.
    started_at
        The same moment on the wall clock.
    named
        Whether `instances` are the scenario's names, in its order. False for an application whose
        instances answer with names of their own.
    routes
        The names of the routes, which the column `route` is an index into; none where there are no routes.
    transport, codec
        The protocol of the requests, as `LoadProfile` has it.
    networks
        For each source, the number of its network of /24; empty where it was not noted.
    """

    rows: NDArray[np.void]
    instances: tuple[str, ...]
    started_ns: int
    started_at: datetime
    named: bool = True
    routes: tuple[str, ...] = ()
    transport: str = "tcp"
    codec: str = "http1"
    networks: tuple[int, ...] = ()

    def with_sources(self, addresses: Sequence[str]) -> Recording:
        """Note which networks the clients' addresses are of, in the order of the column `source`."""
        return replace(self, networks=networks_of(addresses))

    @classmethod
    def of_generator(
        cls, rows: NDArray[np.void], identities: Sequence[str], routes: Sequence[str] = ()
    ) -> Recording:
        """Give records as the load generator numbered their instances.

        Parameters
        ----------
        rows
            Of type `harness.recording.layout.dtype()`.
        identities
            What the column `instance` is an index into; they become the recording's instances.
        routes
            What the column `route` is an index into.

        Raises
        ------
        LoadError
            A record can't be right.
        """
        # An identity came from the network; what UTF-8 can't hold, neither JSON nor Parquet can.
        clean = tuple(name.encode("utf-8", "backslashreplace").decode("utf-8") for name in identities)
        # Of numbers without a sign, the one after NO_INSTANCE is 0: it takes no part.
        highest = int((rows["instance"] + np.uint32(1)).max(initial=0)) - 1
        if highest >= len(clean):
            raise LoadError(
                f"the generator's records name identity number {highest}, but it listed only "
                f"{len(clean)}: they are damaged; run again"
            )
        if int(rows["error"].max(initial=0)) >= len(ERRORS):
            raise LoadError("the generator's records hold an unknown error: they are damaged; run again")
        if int(rows["route"].max(initial=0)) >= max(len(routes), 1):
            raise LoadError("the generator's records hold an unknown route: they are damaged; run again")
        now_ns, now = time.monotonic_ns(), time.time_ns()
        started_ns = int(rows["start_ns"].min()) if rows.size else now_ns
        started_at = datetime.fromtimestamp((now - now_ns + started_ns) / 1e9, tz=UTC)
        return cls(rows, clean, started_ns, started_at, named=False, routes=tuple(routes))

    @classmethod
    def of_run(
        cls,
        rows: NDArray[np.void],
        identities: Sequence[str],
        instance_names: Sequence[str],
        routes: Sequence[str] = (),
    ) -> Recording:
        """Give a run's records, with the scenario's instances.

        Parameters
        ----------
        rows
            Of type `harness.recording.layout.dtype()`; the column `instance` is written anew.
        identities
            What that is an index into.
        instance_names
            The scenario's instances. Where an identity is none of them, the recording's instances
            are the identities in natural order, filled up with `(unseen 1)`, ….
        routes
            What the column `route` is an index into.

        Raises
        ------
        LoadError
            More identities than instances answered, or a record can't be right.
        """
        given = cls.of_generator(rows, identities, routes)
        named = set(given.instances) <= set(instance_names)
        instances = tuple(instance_names) if named else own_names(given.instances, len(instance_names))
        place = {name: index for index, name in enumerate(instances)}
        places = np.array([place[name] for name in given.instances], dtype=np.uint32)
        for begin in range(0, len(rows), PART):
            numbers = rows["instance"][begin : begin + PART]
            identified = numbers != NO_INSTANCE
            numbers[identified] = places[numbers[identified]]
        return replace(given, instances=instances, named=named)

    def before(self, moment_ns: int, instances: int | None = None) -> Recording:
        """Give the requests alone that began before a moment of the monotonic clock.

        Parameters
        ----------
        moment_ns
            The moment.
        instances
            How many instances there were by then, the first of all; as many as there ever were, if None.

        Raises
        ------
        LoadError
            More instances than that answered.
        """
        rows = self.rows[self.rows["start_ns"] < moment_ns]
        if instances is None or instances == len(self.instances):
            return replace(self, rows=rows)
        seen = np.unique(rows["instance"][rows["instance"] != NO_INSTANCE]).tolist()
        # With names of their own, only those that answered are known to have been there first.
        order = range(len(self.instances)) if self.named else dict.fromkeys([*seen, *range(instances)])
        kept = sorted([*order][:instances])
        if not set(seen) <= set(kept):
            raise LoadError(f"{len(seen)} instances answered before the first event; there were {instances}")
        places = np.full(len(self.instances), NO_INSTANCE, dtype=np.uint32)
        places[kept] = range(len(kept))
        identified = rows["instance"] != NO_INSTANCE
        rows["instance"][identified] = places[rows["instance"][identified]]
        return replace(self, rows=rows, instances=tuple(self.instances[place] for place in kept))

    def of_route(self, route: int, instances: Sequence[str]) -> Recording:
        """Give the requests of one route alone; answers by instances of other routes have none there.

        Parameters
        ----------
        route
            The route's number.
        instances
            Its instances' names, which become the new recording's.
        """
        rows = self.rows[self.rows["route"] == route]
        relabel(rows, self.instances, instances)
        rows["route"] = 0
        return replace(self, rows=rows, instances=tuple(instances), routes=())

    def in_all_of_route(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give, in place of each instance's count, that of all instances of its route together.

        An instance's route is the one that most of its answers are of.

        Parameters
        ----------
        counts
            Shape (n, instances), as the answer's.
        """
        number = max(len(self.routes), 1)
        routes = np.zeros(len(self.instances), dtype=np.intp)
        if self.routes:
            known = self.rows["instance"] != NO_INSTANCE
            cells = self.rows["instance"][known] * np.int64(number) + self.rows["route"][known]
            answers = np.bincount(cells, minlength=len(self.instances) * number)
            routes = answers.reshape(-1, number).argmax(axis=1)
        totals = np.zeros((number, len(counts)), dtype=np.int64)
        np.add.at(totals, routes, counts.T)
        found: NDArray[np.int64] = totals.T[:, routes]
        return found

    def requests_by_instance(self) -> NDArray[np.int64]:
        """Count the requests that each instance answered, with an error or without."""
        return by_instance(self.rows["instance"], len(self.instances))

    def connections_by_instance(self) -> NDArray[np.int64]:
        """Count connections by the instance that answered first on each.

        A layer-7 proxy sends the requests of one connection to several instances.
        """
        return self._by_first_answer("connection")

    def sources_by_instance(self) -> NDArray[np.int64]:
        """Count client addresses by the instance that answered first to each."""
        return self._by_first_answer("source")

    def column_of(self, unit: Unit) -> NDArray[np.integer]:
        """Give each request's unit, as a number from 0."""
        if unit != "network":
            column: NDArray[np.integer] = self.rows[unit]
            return column
        if self.networks:
            # Sources beyond these are addresses of other machines: each counts as a network.
            beyond = range(len(self.networks), int(self.rows["source"].max(initial=0)) + 1)
            numbers = np.array([*self.networks, *beyond], dtype=np.uint32)
            found: NDArray[np.integer] = numbers[self.rows["source"]]
            return found
        # Addresses used to be consecutive from .1 on, and nothing noted their networks.
        return (self.rows["source"].astype(np.uint32) + np.uint32(1)) // np.uint32(256)

    def _by_first_answer(self, unit: Unit) -> NDArray[np.int64]:
        return by_instance(self.rows["instance"][self.first_answers(unit)], len(self.instances))

    def units_by_instance(self, unit: Unit) -> NDArray[np.int64]:
        """Count what the strategy balances for each instance."""
        if unit == "request":
            return self.requests_by_instance()
        return self._by_first_answer(unit)

    def unattributed(self, unit: Unit) -> int:
        """Count requests that no instance can be named for, or other units without any other request."""
        if unit == "request":
            return int(np.count_nonzero(self.rows["instance"] == NO_INSTANCE))
        return int(np.count_nonzero(occurrences(self.column_of(unit)))) - len(self.first_answers(unit))

    def choices(self, unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Give when an instance was chosen for each unit, and which: units that have one, in order of time.

        The moment is the start of the first request that an instance can be named for, on the
        monotonic clock in nanoseconds.
        """
        rows: NDArray[np.integer]
        if unit == "request":
            rows = np.flatnonzero(self.rows["instance"] != NO_INSTANCE)
        else:
            rows = self.first_answers(unit)
        times = self.rows["start_ns"][rows]
        if (times[1:] < times[:-1]).any():
            order = np.argsort(times, kind="stable")  # nearly sorted already, which makes this kind fast
            times, rows = times[order], rows[order]
        return times, self.rows["instance"][rows]

    def requests_by_unit(self, unit: Unit) -> NDArray[np.int64]:
        """Count the requests of each unit, of those with any."""
        if unit == "request":
            return np.ones(len(self.rows), dtype=np.int64)
        counts = occurrences(self.column_of(unit))
        return counts[counts > 0]

    def latencies_ns(self) -> NDArray[np.int64]:
        """Give the latencies of the successful requests, in the order of the rows.

        They count from the intended start: in an open loop, a request that had to wait for its turn
        has waited already (G. Tene's "coordinated omission"). In a closed loop both starts are one.
        """
        waited = self.rows["start_ns"] - self.rows["intended_start_ns"]
        waited += self.rows["latency_ns"]
        latencies: NDArray[np.int64] = waited[self.rows["error"] == 0]
        return latencies

    def starts_ns(self) -> NDArray[np.int64]:
        """Give the intended starts that `latencies_ns` count from, in the same order."""
        starts: NDArray[np.int64] = self.rows["intended_start_ns"][self.rows["error"] == 0]
        return starts

    def errors_by_class(self) -> dict[str, int]:
        """Count the failed requests by what went wrong; only what occurred."""
        counts = np.bincount(self.rows["error"], minlength=len(ERRORS))
        return {str(ERRORS[i]): int(counts[i]) for i in range(1, len(ERRORS)) if counts[i]}

    def failed_statuses(self) -> dict[tuple[int, bool], int]:
        """Count the answers that failed by their status, and by whether they name an instance."""
        failed = self.rows[self.rows["error"] == STATUS]
        named = failed["instance"] != NO_INSTANCE
        pairs, counts = np.unique(np.stack([failed["status"], named]), axis=1, return_counts=True)
        return {
            (int(status), bool(by)): int(count) for (status, by), count in zip(pairs.T, counts, strict=True)
        }

    def first_answers(self, unit: Unit) -> NDArray[np.uint32]:
        """Give the row of the first identified answer, for each unit of a kind that has one."""
        if unit == "network":
            return self._first_to_networks
        return self._first_on_connections if unit == "connection" else self._first_to_sources

    # Kept, since every count of connections needs them: for ten million they take half a second each time.
    @cached_property
    def _first_on_connections(self) -> NDArray[np.uint32]:
        return first_answers(self.rows["connection"], self.rows["instance"])

    @cached_property
    def _first_to_sources(self) -> NDArray[np.uint32]:
        return first_answers(self.rows["source"], self.rows["instance"])

    @cached_property
    def _first_to_networks(self) -> NDArray[np.uint32]:
        return first_answers(self.column_of("network"), self.rows["instance"])

    def to_parquet(self, path: Path | IO[bytes]) -> None:
        """Write one row a request, to a path or an open file.

        Times are relative to the file's metadata `started_at` (ISO 8601, UTC), which is when the
        earliest request started; `started_ns` is the same moment on the monotonic clock of the
        machine that measured, `units` says the columns' units and `instances` holds all instances,
        those without any request too (both JSON). Where there are routes, `routes` holds their names, and
        the column `route` says whose a request was; else there is neither. `transport` and `codec` are the
        protocol's; the columns `stream` and `protocol_status` are there only where it has them. `networks`
        holds each source's network, where a strategy balances these.
        """
        # Imported here: only a run's end and its readers need it, and it takes a while.
        import pyarrow.parquet as pq  # noqa: PLC0415  see above

        metadata = {
            "started_at": self.started_at.isoformat(),
            "started_ns": str(self.started_ns),
            "units": json.dumps(UNITS),
            "instances": json.dumps(self.instances),
            "named": json.dumps(self.named),
            "transport": self.transport,
            "codec": self.codec,
            **({"routes": json.dumps(self.routes)} if self.routes else {}),
            **({"networks": json.dumps(self.networks)} if self.networks else {}),
        }
        own = [name for name in PROTOCOL_S_OWN if self.rows[name].any()]
        first = self._table(0, own)
        with pq.ParquetWriter(
            path,
            first.schema.with_metadata(metadata),
            compression="zstd",
            use_dictionary=["instance", "status", "source", "error", *["route"] * bool(self.routes)],
            # Neighbouring times and connection numbers differ by little.
            column_encoding=dict.fromkeys([*UNITS, "connection"], "DELTA_BINARY_PACKED"),
        ) as writer:
            writer.write_table(first)
            for begin in range(PART, len(self.rows), PART):
                writer.write_table(self._table(begin, own))

    def _table(self, begin: int, own: Sequence[str]) -> Any:
        """Give the Arrow table of a part of the rows, with the columns of the protocol's own."""
        import pyarrow as pa  # noqa: PLC0415  as in to_parquet

        rows = self.rows[begin : begin + PART]
        none = rows["instance"] == NO_INSTANCE
        columns: dict[str, Any] = {
            "intended_start_ns": as_column(rows["intended_start_ns"] - self.started_ns),
            "start_ns": as_column(rows["start_ns"] - self.started_ns),
            "latency_ns": as_column(rows["latency_ns"]),
            **{name: as_column(rows[name], rows[name] == NOT_THERE) for name in MAYBE},
            "connection": as_column(rows["connection"]),
            "instance": as_dictionary(np.where(none, 0, rows["instance"]), none, self.instances),
            "status": as_column(rows["status"]),
            "source": as_column(rows["source"]),
            **{name: as_column(rows[name]) for name in own},
            "error": as_dictionary(rows["error"], rows["error"] == 0, ERRORS),
        }
        if self.routes:
            columns["route"] = as_dictionary(rows["route"], np.zeros(len(rows), dtype=bool), self.routes)
        return pa.table(columns)

    @classmethod
    def from_parquet(cls, path: Path) -> Recording:
        """Read what `to_parquet` wrote.

        Raises
        ------
        ResultError
            The file can't be read or isn't a recording.
        """
        import pyarrow as pa  # noqa: PLC0415  as in to_parquet
        import pyarrow.parquet as pq  # noqa: PLC0415  as in to_parquet

        try:
            with open_file(path) as opened, pq.ParquetFile(opened) as file:
                metadata = file.schema_arrow.metadata or {}
                instances = tuple(json.loads(metadata[b"instances"]))
                started_ns = int(metadata[b"started_ns"])
                started_at = datetime.fromisoformat(metadata[b"started_at"].decode())
                named = bool(json.loads(metadata[b"named"]))
                routes = tuple(json.loads(metadata.get(b"routes", b"[]")))
                transport = metadata.get(b"transport", b"tcp").decode()  # older files name neither
                codec = metadata.get(b"codec", b"http1").decode()
                networks = tuple(json.loads(metadata.get(b"networks", b"[]")))
                rows = np.zeros(file.metadata.num_rows, dtype=dtype())
                begin = 0
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    fill(rows[begin : begin + table.num_rows], table, instances, routes)
                    begin += table.num_rows
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise ResultError(
                f"{path}: is no recording that can be read ({error}); run the scenario again"
            ) from error
        rows["intended_start_ns"] += started_ns
        rows["start_ns"] += started_ns
        return cls(rows, instances, started_ns, started_at, named, routes, transport, codec, networks)

"""What benchmarks/latency_truth.py drives: its server, and load generators that tell quantiles."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from benchmarks._load import LOCUSTFILE, SECOND_NS
from harness.errors import LoadError
from harness.stats.latency import Quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SOURCE: Final = Path(__file__).with_name("latency_server.c")
LOGGED: Final = np.dtype([(name, "<i8") for name in ("connection", "read_ns", "sending_ns", "written_ns")])
"""An answer in the server's log, `struct answer`."""

PATIENCE_S: Final = 60.0


def compile_server(folder: Path) -> Path:
    """Compile the server into a folder, and give the program.

    Raises
    ------
    LoadError
        It does not compile.
    """
    program = folder / "latency_server"
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(program), str(SOURCE)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode:
        raise LoadError(f"benchmarks/latency_server.c does not compile:\n{compiled.stderr}")
    return program


class Server:
    """The server, for one load.

    Parameters
    ----------
    program, log
        The compiled server, and where it is to write its log.
    delay_ns, period_ns, stall_ns
        How long after reading it answers; how long it does nothing in every period, 0 for never.
    """

    def __init__(
        self, program: Path, log: Path, delay_ns: int = 0, period_ns: int = 0, stall_ns: int = 0
    ) -> None:
        self._log = log
        command = [str(program), str(log), *map(str, (delay_ns, period_ns, stall_ns))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self._process.wait()
            raise LoadError("benchmarks/latency_server.c has ended before it listened")
        self.port = int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> Array:
        """End it, and give its log in the order of answers."""
        self._process.communicate(timeout=PATIENCE_S)
        if self._process.returncode:
            raise LoadError(f"benchmarks/latency_server.c has failed: status {self._process.returncode}")
        return np.fromfile(self._log, LOGGED)


def took_ns(log: Array) -> NDArray[np.int64]:
    """Give how long the server took for each answer, from having read to having written."""
    taken: NDArray[np.int64] = log["written_ns"] - log["read_ns"]
    return taken


def paired(records: Array, log: Array) -> tuple[Array, Array]:
    """Bring records and log into the same order: by connection, and each connection's by time.

    The loopback interface keeps connections in the order in which they were opened, and a connection has one
    request at a time.
    """
    records = records[np.lexsort((records["start_ns"], records["connection"]))]
    log = log[np.lexsort((log["read_ns"], log["connection"]))]
    if not np.array_equal(records["connection"], log["connection"]):
        raise LoadError(f"{len(records):,} requests were recorded, {len(log):,} answered: not the same ones")
    return records, log


def run_wrk(url: str, seconds: int, _: Path) -> Quantiles:
    """Let wrk ask over eight connections, and read its table; it has no p99.9."""
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "--timeout", "5s", "--latency", url]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds + PATIENCE_S
    ).stdout
    units = {"us": 1_000, "ms": 1_000_000, "s": SECOND_NS, "m": 60 * SECOND_NS}

    def find(pattern: str) -> int:
        found = re.search(pattern + r"\s+([\d.]+)(us|ms|s|m)\b", said)
        if found is None:
            raise LoadError(f"wrk's table has no {pattern}:\n{said}")
        return round(float(found[1]) * units[found[2]])

    return Quantiles(find("50%"), find("90%"), find("99%"), None, find(r"Latency\s+\S+\s+\S+"))


def run_locust(url: str, seconds: int, folder: Path) -> Quantiles:
    """Let Locust ask by itself with eight users, and read the quantiles of its CSV file."""
    locustfile = folder / "asking.py"
    locustfile.write_text(LOCUSTFILE)
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--host", url.rstrip("/")]
    command += ["--headless", "--users", "8", "--spawn-rate", "8", "--run-time", f"{seconds}s"]
    command += ["--stop-timeout", "5", "--csv", str(folder / "locust"), "--only-summary"]
    finished = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE_S
    )
    if finished.returncode:
        raise LoadError(f"Locust has failed:\n{finished.stderr}")
    with (folder / "locust_stats.csv").open(newline="") as file:
        total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    return Quantiles(*(int(float(total[name]) * 1e6) for name in ("50%", "90%", "99%", "99.9%", "100%")))

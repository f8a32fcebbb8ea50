"""What the kernel counts of TCP in each network namespace (/proc/PID/net/snmp and netstat)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.types import TcpCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACES: Final = (
    ("snmp", "Tcp:", "OutSegs"),
    ("snmp", "Tcp:", "RetransSegs"),
    ("netstat", "TcpExt:", "TCPDSACKRecv"),
    ("netstat", "TcpExt:", "ListenDrops"),
)


def tcp_counts() -> dict[str, list[int]]:
    """Read the counts of each network namespace that a process is in, by the namespace."""
    found: dict[str, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            namespace = str((process / "ns/net").readlink())
            if namespace not in found:
                found[namespace] = _counts(process / "net")
        except OSError:
            continue  # it ended while it was looked at
    return found


def tcp_since(before: Mapping[str, list[int]], now: Mapping[str, list[int]]) -> TcpCounts:
    """Add up what namespaces counted that were there all the time."""
    each = [
        [later - earlier for earlier, later in zip(before[namespace], now[namespace], strict=True)]
        for namespace in before.keys() & now.keys()
    ]
    return TcpCounts(*(sum(column) for column in zip([0] * len(_PLACES), *each, strict=True)))


def _counts(net: Path) -> list[int]:
    rows: dict[tuple[str, str], list[list[str]]] = {}
    for file in ("snmp", "netstat"):
        for line in (net / file).read_text().splitlines():
            words = line.split()
            rows.setdefault((file, words[0]), []).append(words)
    counts = []
    for file, protocol, name in _PLACES:
        names, values = rows[file, protocol]
        counts.append(int(values[names.index(name)]))
    return counts

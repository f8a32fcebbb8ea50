"""What a hash hashes is its unit: runs whose clients have too few of them, with the real proxies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

_HASHED = """
strategy: {strategy}
replicas: 4
load: {{users: 8, duration: 1s, warm_up: 200ms, sources: {sources}}}
"""


def _ran(harness: Command, strategy: str, sources: str) -> tuple[dict[str, Any], str]:
    finished = harness("run", harness.scenario(_HASHED.format(strategy=strategy, sources=sources)))
    assert finished.returncode == 3, finished.stdout + finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    return json.loads((folder / "summary.json").read_text()), " ".join(finished.stdout.split())


def test_ip_hash_of_one_network_stays_inconclusive(harness: Command) -> None:
    """Nginx's ip_hash takes three bytes: 200 addresses of one /24 are one unit, all of one instance."""
    summary, told = _ran(harness, "{name: nginx, policy: ip-hash}", "{count: 200, pattern: one-network}")
    assert (summary["unit"], summary["verdict"], summary["counts"]["networks"]) == (
        "network",
        "inconclusive",
        1,
    )
    assert sorted(row["networks"] for row in summary["instances"]) == [0, 0, 0, 1]
    assert "1 network is too few to tell at 10 % tolerance; no longer load can mend that" in told
    assert "more should decide" not in told


@pytest.mark.parametrize("strategy", ["{name: haproxy, policy: hash}", "nft-hash"])
def test_hash_of_few_addresses_says_that_no_load_mends_it(harness: Command, strategy: str) -> None:
    """Thousands of requests from eight addresses are eight choices."""
    summary, told = _ran(harness, strategy, "8")
    assert (summary["unit"], summary["counts"]["sources"]) == ("source", 8)
    assert "8 sources are too few to tell at 10 % tolerance; no longer load can mend that" in told
    assert "raise load.sources" in told

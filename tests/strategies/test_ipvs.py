"""IPVS, on kernels that have it and on those that have not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import KernelLacksError
from harness.strategies import find_strategy
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from tests.strategies.conftest import Lab

_KERNEL_HAS_IT = Path("/proc/sys/net/ipv4/vs").exists()


@pytest.mark.parametrize("name", ["ipvs-rr", "ipvs-lc", "ipvs-sh", "ipvs-mh"])
def test_connections_are_balanced_or_the_kernels_lack_is_told(lab: Lab, name: str) -> None:
    """Where the kernel has IPVS, all witnesses agree; where it has not, the message says what it lacks."""
    found = find_strategy(name)
    strategy, members = found(found.options_model()), lab.start(3, weights=[2, 1, 1])
    if not _KERNEL_HAS_IT:
        with pytest.raises(KernelLacksError, match=r"version: Protocol not available.*sudo modprobe ip_vs"):
            strategy.expose(lab.host, ENDPOINT, members)
        return
    strategy.expose(lab.host, ENDPOINT, members)
    counts = lab.counted(strategy, members, 300)
    if name == "ipvs-rr":
        assert counts == [150, 75, 75]
    answers = lab.across_an_update(lambda: strategy.update(lab.host, ENDPOINT, members[1:]))
    assert answers[0] == answers[1]
    assert "instance-1" not in answers[2]
    strategy.withdraw(lab.host, ENDPOINT)
    assert "C62C6363" not in lab.host.run(["cat", "/proc/net/ip_vs"]).stdout.upper()
    strategy.expose(lab.host, ENDPOINT, members)
    assert strategy.counted(lab.host, ENDPOINT, members) is not None

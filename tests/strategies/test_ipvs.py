"""IPVS, on kernels that have it and on those that have not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import KernelLacksError
from harness.strategies import find_strategy
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from tests.strategies.conftest import Lab


def _kernel_has_ipvs(lab: Lab) -> bool:
    return lab.host.run(["ipvsadm", "-L"]).status == 0


@pytest.mark.parametrize("name", ["ipvs-rr", "ipvs-lc", "ipvs-sh", "ipvs-mh"])
def test_connections_are_balanced_or_the_kernels_lack_is_told(lab: Lab, name: str) -> None:
    """Where the kernel has IPVS, all witnesses agree; where it has not, the message says what it lacks."""
    found = find_strategy(name)
    strategy, members = found(found.options_model()), lab.start(3)
    if not _kernel_has_ipvs(lab):
        with pytest.raises(KernelLacksError, match=r"this kernel has no IPVS \(Can't initialize ipvs.*sudo modprobe ip_vs"):
            strategy.expose(lab.host, ENDPOINT, members)
        return
    strategy.expose(lab.host, ENDPOINT, members)
    counts = lab.counted(strategy, members, 300)
    if name == "ipvs-rr":
        assert counts == [100, 100, 100]
    strategy.update(lab.host, ENDPOINT, members[1:])
    assert "instance-1" not in lab.ask(60)
    strategy.withdraw(lab.host, ENDPOINT)
    assert "198.18.37.99" not in lab.host.run(["ipvsadm", "-Ln"]).stdout

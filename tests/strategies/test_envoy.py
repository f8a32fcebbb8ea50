"""What is Envoy's own; what all proxies have in common is in test_proxies.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario
from harness.strategies.envoy import Envoy, EnvoyOptions
from harness.types import Counted, Member
from tests.helpers.requests import names
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from tests.strategies.conftest import Lab


def _envoy(**options: Any) -> Envoy:
    return Envoy(EnvoyOptions.model_validate(options, strict=True))


def test_each_members_count_is_told_until_the_set_changes(lab: Lab) -> None:
    """A member that leaves takes its count with it: from then on there is the sum alone, of all that were."""
    envoy, members = _envoy(discovery="file"), lab.start(3)
    envoy.expose(lab.host, ENDPOINT, members[:2])
    assert Counter(names(lab.host, 20)) == {"instance-1": 10, "instance-2": 10}
    assert envoy.counted(lab.host, ENDPOINT, members[:2]) == Counted("proxy", "requests", 20, (10, 10))
    envoy.update(lab.host, ENDPOINT, members[1:])
    assert Counter(names(lab.host, 20)) == {"instance-2": 10, "instance-3": 10}
    assert envoy.counted(lab.host, ENDPOINT, members[1:]) == Counted("proxy", "requests", 40)


def test_new_weights_are_in_force_at_once(lab: Lab) -> None:
    """Not only after the second for which Envoy would otherwise collect such changes."""
    envoy, members = _envoy(discovery="file"), lab.start(2)
    envoy.expose(lab.host, ENDPOINT, members)
    envoy.update(lab.host, ENDPOINT, [replace(members[0], weight=9), members[1]])
    assert names(lab.host, 20).count("instance-2") == pytest.approx(2, abs=1)


def test_hot_restarts_follow_one_another(lab: Lab) -> None:
    """Each hands over to the next; nothing is counted any more, and nothing stays on the machine."""
    shared_before = sorted(Path("/dev/shm").glob("envoy*"))  # noqa: S108  where Envoy puts its memory
    envoy, members = _envoy(), lab.start(3)
    envoy.expose(lab.host, ENDPOINT, members[:1])
    for member in members[1:]:
        envoy.update(lab.host, ENDPOINT, [member])
        assert set(names(lab.host, 10)) == {member.name}
        assert envoy.counted(lab.host, ENDPOINT, [member]) is None
        assert lab.host.died() == []
    envoy.withdraw(lab.host, ENDPOINT)
    assert sorted(Path("/dev/shm").glob("envoy*")) == shared_before  # noqa: S108  as above


def test_a_name_may_have_many_addresses(lab: Lab) -> None:
    """All 300 are known when exposing ends, though a plain UDP answer has room for 30."""
    others = [Member(f"x-{k}", f"198.19.{k // 200 + 8}.{k % 200 + 2}", 8080) for k in range(299)]
    members = [*lab.start(1), *others]
    envoy = _envoy(discovery="dns")
    envoy.expose(lab.host, ENDPOINT, members)
    assert envoy.counted(lab.host, ENDPOINT, members) == Counted("proxy", "requests", 0, (0,) * 300)


@pytest.mark.parametrize("workers", [1, 3])
def test_envoy_has_the_requested_number_of_workers(lab: Lab, workers: int) -> None:
    """Each is a thread; requests are evenly spread among instances whichever it is."""
    _envoy(workers=workers).expose(lab.host, ENDPOINT, lab.start(1))
    threads = lab.host.run(["sh", "-c", "cat /proc/[0-9]*/task/*/comm"]).stdout.split()
    assert sum(thread.startswith("wrk:") for thread in threads) == workers


def test_weights_are_refused_where_they_would_be_ignored(tmp_path: Path) -> None:
    """Envoy's random choice pays no heed to them, and an address that a name has has none."""
    file = tmp_path / "x.yaml"
    for option in ("policy: random", "discovery: dns"):
        file.write_text(f"strategy: {{name: envoy, {option}}}\nreplicas: 2\nweights: {{instance-1: 9}}\n")
        with pytest.raises(ScenarioError, match=r"x\.yaml:3:.* can't give instances different shares"):
            load_scenario(file)

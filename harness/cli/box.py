"""`harness box`: the box of the virtual machine, where Vagrant's catalogue can't be reached."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.hosts.vm.box import CachedBox


@click.group()
def box() -> None:
    """Build and list the box (the disk image) of host vagrant.

    Runs use the box that was built here, if there is one; otherwise a stock Debian from Vagrant's
    catalogue, or the box that the environment variable HARNESS_BOX names.
    """


@box.command()
def build() -> None:
    """Build a box of Debian's packages, for libvirt, unless it exists.

    It needs root and Debian, and takes two minutes. A later version with another recipe replaces the
    box; harness clean --boxes removes it.

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
    """Show the stored box."""
    from harness.hosts.vm.box import VagrantBoxes

    found = VagrantBoxes().find()
    if found is None:
        click.echo("there is none; harness box build builds it")
    else:
        _show(found)


def _show(made: CachedBox) -> None:
    click.echo(f"{made.path}, {made.size / 1e6:,.1f} MB")
    click.echo(", ".join(f"{name} {version}" for name, version in made.versions.items()))

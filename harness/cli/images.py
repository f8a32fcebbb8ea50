"""`harness images` and `harness clean`: the container images that runs load."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.images import Source


_WIDTH = 36  # of the column that is to be wrapped last


@click.group()
def images() -> None:
    """Build, add and list the container images that runs load.

    Runs build the images that they need; these commands do it beforehand.
    """


@images.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--from",
    "source",
    type=click.Choice(["auto", "registry", "packages"]),
    default="auto",
    show_default=True,
    help="auto: the official image if a registry answers, else one built of packages.",
)
def build(names: tuple[str, ...], source: Source) -> None:
    """Build the images NAME, by default all of the catalogue, unless they exist.

    Existing images stay as they are. After `harness clean --images`, all are built again, of the newest
    packages.

    \b
    Examples:
      harness images build
      harness images build sample nginx --from packages
    """
    from harness.images import Cache
    from harness.images.catalogue import CATALOGUE, recipe

    names = names or tuple(CATALOGUE)
    for name in names:
        recipe(name)  # so that a wrong one is told before hours of work for others
    cache = Cache()
    for name in names:
        began = time.monotonic()
        image = cache.require(name, lambda words: click.echo(words, err=True), source)
        click.echo(
            f"{name:<8}  {image.reference}, from {image.origin}, {_megabytes(image.size)}, "
            f"{time.monotonic() - began:.1f} s"
        )


@images.command("list")
def list_() -> None:
    """List the stored images."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from harness.common.text import printable
    from harness.images import Cache
    from harness.images.catalogue import CATALOGUE
    from harness.report.format import standard_output

    found = Cache().images()
    if not found:
        click.echo("there are none; harness images build builds them, and so do runs that need some")
        return
    console = standard_output()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("name", no_wrap=True)
    longest = max(len(image.reference) for image in found)
    table.add_column("image", overflow="fold", min_width=min(longest, _WIDTH))
    table.add_column("from")
    for column in ("size", "age"):
        table.add_column(column, justify="right", no_wrap=True)
    now = time.time()
    for image in found:
        name = image.name if image.name in CATALOGUE else ""
        cells = (name, image.reference, image.origin, _megabytes(image.size), _age(now - image.made))
        table.add_row(*(Text(printable(cell, console.encoding)) for cell in cells))
    console.print(table)


@images.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
def add(file: Path) -> None:
    """Add an image that `docker save` or `podman save` wrote to FILE; - is standard input.

    Scenarios refer to it by the name that it has in FILE. An added image also replaces an official one
    that no registry provides: an added nginx:1.22.1 is used as nginx.

    \b
    Examples:
      harness images add app.tar
      docker save registry.example/team/app:7 | harness images add -
    """
    from harness.images import Cache

    archive: Path | IO[bytes] = file
    if str(file) == "-":
        if sys.stdin.isatty():
            raise click.UsageError("standard input is a terminal: docker save NAME | harness images add -")
        archive = sys.stdin.buffer
    image = Cache().add(archive)
    click.echo(f"added {image.reference}, {_megabytes(image.size)}")


@click.command()
@click.option("--images", "of_images", is_flag=True, help="Also remove all stored images.")
@click.option("--boxes", "of_boxes", is_flag=True, help="Also remove the box that was built.")
def clean(*, of_images: bool, of_boxes: bool) -> None:
    """Destroy the virtual machine that a run has kept or left, and list what else is kept for later runs.

    Results are not removed.
    """
    from harness.hosts.vm.box import VagrantBoxes
    from harness.hosts.vm.machine import Machine
    from harness.images import Cache

    def tell(words: str) -> None:
        click.echo(words, err=True)

    if Machine.clean(tell):
        click.echo("virtual machine: destroyed")
    cache, boxes = Cache(), VagrantBoxes()
    if of_images:
        click.echo(f"images: {_megabytes(cache.clean(tell))} freed")
    elif found := cache.images():
        size = sum(image.size for image in found)
        click.echo(f"images: {len(found)}, {_megabytes(size)}; harness clean --images removes them")
    if of_boxes:
        click.echo(f"boxes: {_megabytes(boxes.clean(tell))} freed")
    elif made := boxes.find():
        click.echo(f"boxes: 1, {_megabytes(made.size)}; harness clean --boxes removes it")
    if not (of_images or of_boxes or cache.images() or boxes.find()):
        click.echo("nothing is kept")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"

"""Options that several commands share, so that they are alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.parser import _OptionParser


class _WithFormerNames(click.Option):
    """An option that its former names reach, too; help and completion show the present ones only."""

    def __init__(self, names: Sequence[str], *, former: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self._former = list(former)

    def add_to_parser(self, parser: _OptionParser, ctx: click.Context) -> None:
        """Tell the parser all names."""
        super().add_to_parser(parser, ctx)
        if self._former:
            parser.add_option(self, self._former, self.name, action="store", nargs=1)


def output_option(
    default: Path, help_: str, *, former: str = "", metavar: str = "DIR"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make `-o/--output`: where a command writes what it makes.

    Parameters
    ----------
    default, help_
        Where that is if the option is not given, and what the help says.
    former
        The option's name in earlier versions, which still works.
    metavar
        What the help calls the value.
    """
    return click.option(
        "-o",
        "--output",
        cls=_WithFormerNames,
        former=[former] if former else [],
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        metavar=metavar,
        help=help_,
    )

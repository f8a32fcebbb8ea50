"""`harness completion`, and the answers to a shell when Tab is pressed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

VARIABLE: Final = "_HARNESS_COMPLETE"
"""The environment variable by which the shell's script asks."""

_SHELLS: Final = ("bash", "zsh", "fish")
_DEPTH: Final = 3  # folders below the current one that are searched for scenarios
_NOT_THERE: Final = {"results", "build", "node_modules", "site"}


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print a script for SHELL that completes commands, options, scenarios, results and strategies.

    \b
    Bash, for this session:   eval "$(harness completion bash)"
    Bash, for all later ones:   harness completion bash >> ~/.bashrc
    Zsh, after compinit:      harness completion zsh >> ~/.zshrc
    Fish:                     harness completion fish > ~/.config/fish/completions/harness.fish
    """
    made = get_completion_class(shell)
    if made is None:  # all of them are click's own
        raise AssertionError(shell)
    root = click.get_current_context().find_root().command
    if shell != "bash" or shutil.which("bash"):  # click asks bash for its version
        click.echo(made(root, {}, "harness", VARIABLE).source())
    else:
        raise click.UsageError("there is no bash here; name the shell that you use")


class ScenarioFile(click.Path):
    """The path of a scenario or suite file, or of a folder of such."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer YAML files: those beside what was typed, and in folders below."""
        del ctx, param
        typed = Path(incomplete)
        folder = typed if incomplete.endswith("/") else typed.parent
        found = (str(path) for path in _scenarios(folder, _DEPTH))
        items = [CompletionItem(path) for path in found if path.startswith(incomplete)]
        return items or [CompletionItem(incomplete, type="file")]


def _scenarios(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return  # nothing to offer there
    yield from (path for path in entries if path.suffix in {".yaml", ".yml"} and path.is_file())
    for path in entries:
        if depth and path.is_dir() and not path.name.startswith(".") and path.name not in _NOT_THERE:
            yield from _scenarios(path, depth - 1)


class ResultPath(click.Path):
    """The path of a result's folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer results in the folder that was typed, or in the usual one."""
        del ctx, param
        folder = Path("results") if "/" not in incomplete else Path(incomplete).parent
        if incomplete.endswith("/"):
            folder = Path(incomplete)
        paths = [str(folder / name) for name in _results(folder)]
        items = [CompletionItem(path) for path in paths if path.startswith(incomplete)]
        return items or [CompletionItem(incomplete, type="dir")]


class ResultName(click.ParamType[Any]):
    """A result: its folder, its name, or the word latest."""

    name = "result"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names below the folder of results; paths where a path was begun."""
        if "/" in incomplete:
            return ResultPath().shell_complete(ctx, param, incomplete)
        names = ["latest", *_results(Path(ctx.params.get("results") or "results"))]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _results(folder: Path) -> list[str]:
    """Name what looks like a result; reading all of them would take longer than a key press may."""
    try:
        return sorted(path.name for path in folder.iterdir() if (path / "summary.json").exists())
    except OSError:
        return []


class RegisteredName(click.ParamType[str]):
    """One of the names in a registry, which is read when a name is given, and not when commands are set up.

    Parameters
    ----------
    name
        What help calls it.
    names
        Gives the names.
    """

    def __init__(self, name: str, names: Callable[[], Sequence[str]]) -> None:
        self.name = name
        self._names = names

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a name that there is."""
        return click.Choice(self._names()).convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names."""
        return click.Choice(self._names()).shell_complete(ctx, param, incomplete)


class Override(click.ParamType[Any]):
    """KEY=VALUE, as --set takes it."""

    name = "key=value"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the strategies; the values of other keys are unknown."""
        del ctx, param
        from harness.strategies import strategy_names

        key = "strategy.name" if incomplete.startswith("strategy.") else "strategy"
        offered = (f"{key}={name}" for name in strategy_names())
        return [CompletionItem(item) for item in offered if item.startswith(incomplete)]


class _Bash(BashComplete):
    """Bash takes `=` for the end of a word: KEY=VALUE comes as three, and only the last one is replaced."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._parted = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before what is typed, and that, with what `=` parted put together again."""
        count = int(os.environ["COMP_CWORD"]) + 1
        joined: list[str] = []
        for raw in os.environ["COMP_WORDS"].split("\n")[1:count]:
            word = " ".join(split_arg_string(raw))  # without its quotes
            if joined and (word == "=" or joined[-1].endswith("=")):
                joined[-1] += word
            else:
                joined.append(word)
        *before, typed = joined or [""]
        key, equals, _ = typed.partition("=")
        # Of --option=value, click completes the value alone.
        self._parted = key + equals if equals and not key.startswith("-") else ""
        return before, typed

    def format_completion(self, item: CompletionItem) -> str:
        """Give what is to stand in place of the last of the parts."""
        return f"{item.type},{str(item.value).removeprefix(self._parted)}"


add_completion_class(_Bash)

"""What the pages tell people to type is understood: every command of every page, and of README.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from harness.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_PAGES = [*sorted(_ROOT.glob("*.md")), *sorted((_ROOT / "docs").glob("*.md"))]
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MADE_UP = ("my-", "measured", "results", "app", "FILE", "SCENARIO", "before", "after")


def _blocks(page: Path) -> Iterator[str]:
    text = page.read_text("utf-8")
    yield from re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    yield from re.findall(r"((?:^ {4}.*\n)+)", text, re.MULTILINE)
    yield from (f"{code}\n" for code in re.findall(r"`([^`\n]+)`", text))


def _joined(block: str) -> list[str]:
    """Give the lines of a block; one that ends with a backslash goes on in the next."""
    return re.sub(r"\\\n\s*", "", block).splitlines()


def _typed(program: str) -> list[tuple[str, str]]:
    """List the lines that call a program, with their page."""
    found = []
    call = re.compile(
        rf"^\s*(?:sudo )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?({program} [a-z-]+.*?)(?: \| .*| > .*| >> .*)?$"
    )
    for page in _PAGES:
        for line in dict.fromkeys(line for block in _blocks(page) for line in _joined(block)):
            said = re.split(r"\s{2,}#|\s+#\s| …", line.strip() and line)[0].rstrip()
            if match := call.match(said):
                found.append((page.name, match[1]))
    return found


# Drawings of processes have columns.
_HARNESS = [(page, line) for page, line in _typed("harness") if "   " not in line]


def test_pages_about_commands_have_commands() -> None:
    """The pages that are about commands have some."""
    pages = {page for page, _ in _HARNESS}
    assert pages >= {"README.md", "tutorial.md", "commands.md", "results.md", "ci.md", "suites.md"}


@pytest.mark.parametrize(("page", "line"), _HARNESS, ids=lambda value: value[:60])
def test_every_command_of_the_harness_is_one(page: str, line: str) -> None:
    """The command is there, its options are known, and the scenarios that it names exist."""
    _, *words = shlex.split(line)
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        assert words[0] in command.commands, (page, line)
        command = command.commands[words.pop(0)]
    if any(word.isupper() or "…" in word for word in words) or not words:
        return  # a form to be filled in, or the name alone
    try:
        command.make_context(command.name or "", words)
    except click.MissingParameter:
        # A sentence may leave out what a line to be typed may not.
        assert f"`{line}`" in (_ROOT / "docs" / page).read_text("utf-8")
    except click.BadParameter:
        # The part of another package, which the page itself writes.
        assert page.startswith("writing-a-")
        assert f'name="{line.rsplit(maxsplit=1)[-1]}"' in (_ROOT / "docs" / page).read_text("utf-8")
    for word in words:
        if word.endswith((".yaml", "/")) and not word.startswith(_MADE_UP):
            assert (_ROOT / word).exists(), (page, line)


@pytest.mark.parametrize(("page", "line"), _typed("make"), ids=lambda value: value[:60])
def test_every_target_of_make_is_one(page: str, line: str) -> None:
    """The Makefile has it."""
    targets = re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert line.split()[1] in targets, page


def test_every_command_stands_on_the_page_of_commands() -> None:
    """A new one has to be told of there."""
    text = (_ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in cli.commands:
        assert f"harness {name}" in text, name


def test_the_readme_shows_the_output_that_the_tutorial_explains() -> None:
    """One real run, in both; the README has its last lines."""
    shown = re.findall(
        r"^ {4}(?:[a-z-]+[0-9]*|) {2,}.*\n", (_ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    printed = [line for line in shown if not line.lstrip().startswith(("image", "port", "identity"))]
    assert len(printed) >= 9
    tutorial = (_ROOT / "docs" / "tutorial.md").read_text("utf-8")
    assert [line for line in printed if line not in tutorial] == []


def test_the_readme_is_of_a_newcomers_length() -> None:
    """What is longer belongs into docs/; a third is the table that is the answer."""
    assert len((_ROOT / "README.md").read_text("utf-8").splitlines()) <= 110


@pytest.mark.parametrize("text", _YAML.findall((_ROOT / "docs/tutorial.md").read_text("utf-8")))
def test_the_tutorials_scenarios_are_right(text: str, tmp_path: Path) -> None:
    """As `harness validate` says, which the reader is told to call."""
    from harness.scenario import load_scenario

    (tmp_path / "my-scenario.yaml").write_text(text)
    load_scenario(tmp_path / "my-scenario.yaml")

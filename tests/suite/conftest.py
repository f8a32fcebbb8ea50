"""Suite files to write, and what came of reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.suite.file import NotPossible, Planned, Suite, read_suite
from tests.report.conftest import measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Files", "files", "measure"]  # the last is a fixture that tests of reports have, too


class Files:
    """A folder to put files in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        """Write a file and give its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def suite(self, text: str, overrides: Sequence[str] = ()) -> Suite:
        """Read a suite file of this text."""
        return read_suite([self.write("suite.yaml", text)], overrides)

    def planned(self, text: str, overrides: Sequence[str] = ()) -> dict[str, Planned]:
        """Read a suite file of this text, and give what is to be run by its name."""
        scenarios = self.suite(text, overrides).scenarios
        return {one.name: one for one in scenarios if isinstance(one, Planned)}

    def not_possible(self, text: str) -> dict[str, NotPossible]:
        """Read a suite file of this text, and give what is not possible by its name."""
        scenarios = self.suite(text).scenarios
        return {one.name: one for one in scenarios if isinstance(one, NotPossible)}

    def refused(self, *paths: Path, overrides: Sequence[str] = ()) -> list[str]:
        """Be refused these paths; the lines that say why, without the folder."""
        with pytest.raises(ScenarioError) as caught:
            read_suite(paths, overrides)
        return str(caught.value).replace(f"{self.folder}/", "").splitlines()

    def complaints(self, text: str, overrides: Sequence[str] = ()) -> list[str]:
        """Be refused a suite file of this text; the lines that say why."""
        return self.refused(self.write("suite.yaml", text), overrides=overrides)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Give a folder of the test's own."""
    return Files(tmp_path)

"""The notebooks run from top to bottom, on the results that come with the project."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_NOTEBOOKS = sorted((_ROOT / "notebooks").glob("*.ipynb"))
_NAMES = [path.stem for path in _NOTEBOOKS]
_LONGEST_CELL_S = 120


def _executed(path: Path, project: Path) -> Any:
    """Run all cells in a kernel of their own; a cell that fails is an error of the test."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=_LONGEST_CELL_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(project / "notebooks")}},
    )
    return client.execute()


def _outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def _tree(project: Path) -> list[str]:
    """List the files of the project, but for Jupyter's own folders."""
    own = ("ipython", "jupyter")
    return sorted(
        str(path) for path in project.rglob("*") if not path.relative_to(project).parts[0].startswith(own)
    )


def _git_status() -> str:
    """Give what git sees as changed or new in the checkout, ignored files too."""
    status = ["git", "status", "--porcelain", "--ignored", "--", "results", "notebooks", "scenarios"]
    return subprocess.run(status, cwd=_ROOT, capture_output=True, text=True, check=True).stdout


def test_the_four_notebooks_are_there() -> None:
    """Those that docs/python.md names; no other is left untested for want of being found."""
    assert _NAMES == ["compare_strategies", "cost", "failover", "fairness"]


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=_NAMES)
def test_a_notebook_runs_from_top_to_bottom(path: Path, project: Path) -> None:
    """Its own assertions hold, nothing is said on standard error, and its last cell's run leaves no trace."""
    before = _tree(project), _git_status()
    outputs = [*_outputs(_executed(path, project))]
    complaints = [
        output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not complaints
    assert any("image/png" in output.get("data", ()) for output in outputs)
    assert any("teardown: " in output.get("text", "") for output in outputs), "it ran a scenario"
    assert (_tree(project), _git_status()) == before


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=_NAMES)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    """Outputs would go out of date in silence, and make every difference unreadable."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [*_outputs(notebook)]
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=_NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    """Relative ones, to files of the project."""
    import re

    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert targets
    assert all((path.parent / target).exists() for target in targets)

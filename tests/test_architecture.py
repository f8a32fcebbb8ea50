"""The import graph of `harness`: imports go down only, and there is no circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_PACKAGE = _ROOT / "harness"

LEVELS = (
    ("_version", "errors", "types"),
    ("common", "stats", "instance"),
    ("hosts", "recording", "images"),
    ("strategies",),
    ("engines", "summary"),
    ("faults",),
    ("scenario", "results"),
    ("load", "gate"),
    ("analysis",),
    ("plan",),
    ("report",),
    ("runner",),
    ("suite", "notebook"),
    ("cli", "pytest_plugin"),
)
"""Packages and root modules from the lowest level to the highest; docs/architecture.md shows the same list.

A package imports packages of lower levels, and of its own level only those that do not import it.
"""

_HEIGHT = {name: height for height, level in enumerate(LEVELS) for name in level}
_FACE = "harness"
"""The package's own face: it offers `load_results` and `run`, and nothing inside imports it."""


def _module(path: Path) -> str:
    return ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


_MODULES = {_module(path): path for path in sorted(_PACKAGE.rglob("*.py"))}


def _imported(text: str, of: str) -> set[str]:
    """Give the modules of `harness` that a module's text imports, wherever in it the imports stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "harness"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{of} has a relative import in line {node.lineno}; write the module's whole name")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "harness":
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & _MODULES.keys()) or {node.module}
            if inner - _MODULES.keys():
                found.add(node.module)
    return found - {of}


def _unit(module: str) -> str:
    """Give the package or root module that a module belongs to."""
    return module.split(".")[1] if module != _FACE else _FACE


def _arrows() -> dict[str, set[str]]:
    return {module: _imported(path.read_text(encoding="utf-8"), module) for module, path in _MODULES.items()}


def upward(arrows: dict[str, set[str]]) -> list[str]:
    """Give every arrow that runs up, as `importer -> imported`."""
    return sorted(
        f"{importer} -> {imported}"
        for importer, targets in arrows.items()
        if importer != _FACE
        for imported in targets
        if imported == _FACE or _HEIGHT[_unit(imported)] > _HEIGHT[_unit(importer)]
    )


def _circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_every_package_has_a_level() -> None:
    """A new package takes its place in `LEVELS` before anything imports it."""
    there = {_unit(module) for module in _MODULES} - {_FACE}
    assert there == set(_HEIGHT)


def test_imports_run_down_only() -> None:
    """Imports count wherever they stand: in functions and below TYPE_CHECKING, too."""
    assert upward(_arrows()) == []


def test_modules_import_in_no_circle() -> None:
    """No module imports itself by way of others."""
    arrows = _arrows()
    del arrows[_FACE]
    assert _circle(arrows) == []


def test_packages_import_in_no_circle() -> None:
    """No package imports itself by way of others, at the same level either."""
    graph: dict[str, set[str]] = {}
    for importer, targets in _arrows().items():
        if importer != _FACE:
            graph.setdefault(_unit(importer), set()).update(map(_unit, targets))
    assert _circle({unit: targets - {unit} for unit, targets in graph.items()}) == []


def test_root_holds_packages_and_five_modules() -> None:
    """Whatever else is a module belongs into a package."""
    loose = {path.name for path in _PACKAGE.glob("*.py")}
    assert loose == {"__init__.py", "_version.py", "errors.py", "types.py", "pytest_plugin.py"}


@pytest.mark.parametrize(
    ("line", "arrow"),
    [
        ("from harness.runner.run import run", "harness.stats.bands -> harness.runner.run"),
        ("if TYPE_CHECKING:\n    import harness.cli.app", "harness.stats.bands -> harness.cli.app"),
        (
            "def f() -> None:\n    from harness.load import driver",
            "harness.stats.bands -> harness.load.driver",
        ),
        ("import harness", "harness.stats.bands -> harness"),
    ],
)
def test_upward_import_is_named(line: str, arrow: str) -> None:
    """The arrow is printed, wherever in a module the import stands."""
    assert upward({"harness.stats.bands": _imported(line, "harness.stats.bands")}) == [arrow]


@pytest.mark.parametrize("line", ["from ..runner import run", "from .. import runner", "from . import bands"])
def test_relative_import_is_refused(line: str) -> None:
    """Its arrow would not be seen: it does not name the package that it leads to."""
    with pytest.raises(pytest.fail.Exception, match=r"harness\.stats\.tails has a relative import in line 1"):
        _imported(line, "harness.stats.tails")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_show_the_levels(page: str) -> None:
    """Both pages for contributors have the list of levels, word by word."""
    shown = "\n".join("    " + "  ".join(level) for level in LEVELS)
    assert shown in (_ROOT / page).read_text(encoding="utf-8")


def test_package_faces_say_what_goes_in_and_out() -> None:
    """Each package's docstring names its purpose, what comes in and what goes out."""
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in _PACKAGE.glob("*/__init__.py")}
    said = {name: ast.get_docstring(ast.parse(text)) or "" for name, text in texts.items()}
    assert [name for name, words in said.items() if "In: " not in words or "out: " not in words] == []

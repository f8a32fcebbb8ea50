"""A package that offers a part of the harness by an entry point, laid out as pip lays it out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def offer(folder: Path, group: str, name: str, place: str, code: str) -> dict[str, str]:
    """Lay out a module and its entry point in a folder; gives the environment that finds them.

    Parameters
    ----------
    folder
        Where.
    group, name, place
        The entry point, whose place is ``module:attribute``.
    code
        What the module holds.
    """
    module = place.partition(":")[0]
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    info = folder / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n", encoding="utf-8")
    return os.environ | {"PYTHONPATH": str(folder)}

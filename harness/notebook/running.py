"""A run, started from Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.notebook.result import Result
from harness.report.progress import Progress
from harness.runner.run import run as run_once
from harness.runner.setup import one_machine
from harness.scenario import load_scenario

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

_SECTIONS: Final = ("application", "load")
"""Keys whose values are merged key by key with what the file says."""


def run_scenario(
    scenario: str | os.PathLike[str],
    results: str | os.PathLike[str],
    overrides: Mapping[str, Any],
    *,
    quiet: bool,
) -> Result:
    """Do what `harness.run` says."""
    loaded = load_scenario(Path(scenario), [*_written(overrides)])
    if loaded.repeat > 1:
        raise HarnessError(
            f"{loaded.name}: harness.run runs a scenario once, and this one has repeat: {loaded.repeat}; "
            "pass repeat=1, and call it as often as you like"
        )
    # Standard output: what goes to standard error, notebooks show as if something were wrong.
    progress = Progress(quiet=quiet, file=sys.stdout)
    try:
        with one_machine([loaded.host], progress.heading, keep=False):
            outcome = run_once(loaded, Path(results), progress, keep=True)
    finally:
        progress.close()
    return Result(outcome.folder.name, outcome.folder)


def _written(overrides: Mapping[str, Any]) -> Iterator[str]:
    """Write overrides as `--set` has them; JSON is YAML, too."""
    for key, value in overrides.items():
        if key in _SECTIONS and isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in _written(value))
            continue
        try:
            yield f"{key}={json.dumps(value)}"
        except TypeError:
            raise HarnessError(
                f"{key}: {type(value).__name__} is nothing that a scenario can say; write it as in a file"
            ) from None

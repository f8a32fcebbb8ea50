"""Where the harness's own code lies, and where it keeps what it can make anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from harness.errors import EngineError

PACKAGE: Final = Path(__file__).parent.parent
"""The folder of the package `harness`."""


def cache_folder() -> Path:
    """Find the folder that the harness keeps things in that it can make anew."""
    if named := os.environ.get("SAMEPORT_CACHE"):
        return Path(named).absolute()
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches).absolute() / "sameport"
    try:
        return Path.home() / ".cache" / "sameport"
    except RuntimeError as error:
        raise EngineError(
            "there is no home folder to keep images in: name one with the environment variable SAMEPORT_CACHE"
        ) from error

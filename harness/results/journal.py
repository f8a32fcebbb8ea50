"""Rules and configurations as a run applied them: applied.json of its result.

The executor of a strategy's actions tells of each while the strategy exposes its members, and while it
updates them. What is asked at other times, such as counters, is not noted.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.common.documents import first_problem
from harness.common.files import read_file
from harness.common.text import printable
from harness.errors import ResultError
from harness.strategies.actions import (  # noqa: TC001  the model below reads them when it is made
    Command,
    File,
    Served,
    Spawned,
    Told,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.strategies.actions import Asked

APPLIED = "applied.json"
"""The file's name in a result's folder."""

During = Literal["expose", "update"]


class AppliedStep(BaseModel):
    """One action of the strategy on its host, `at_s` seconds after it began to expose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    during: During
    at_s: float
    step: Annotated[Command | File | Served | Spawned | Told, Field(discriminator="kind")]


class Applied(BaseModel):
    """All actions of the strategy, in order: applied.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Goes up when a reader of older files would misread a newer one.
    schema_version: Literal[1] = Field(default=1, alias="schema")
    steps: tuple[AppliedStep, ...]


class Notes:
    """What a strategy asks of a host while it exposes and updates, in order."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._steps: list[tuple[During, float, Asked]] = []

    def during(self, what: During) -> Callable[[Asked], None]:
        """Give what is to be told of each action that is carried out during this."""
        return lambda step: self._steps.append((what, time.monotonic() - self._began_s, step))

    def to_json(self) -> str:
        """Give the text of applied.json: a line for each step."""
        lines = (
            json.dumps({"during": during, "at_s": round(at_s, 6), "step": asdict(step)})
            for during, at_s, step in self._steps
        )
        return '{"schema": 1, "steps": [\n' + ",\n".join(lines) + "\n]}\n"


def read_applied(folder: Path) -> Applied | None:
    """Read what was applied in a result's run; None where the result is older than the file.

    Raises
    ------
    ResultError
        The file is damaged or can't be read.
    """
    path = folder / APPLIED
    try:
        return Applied.model_validate_json(read_file(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise ResultError(
            f"{printable(str(path))}: is not what a run left: {first_problem(error)}; "
            f"remove it, and the report goes without"
        ) from None

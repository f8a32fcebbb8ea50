"""Documents: JSON files that are read into pydantic models, with errors that the user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from harness.common.files import read_file
from harness.common.text import printable
from harness.errors import ResultError

if TYPE_CHECKING:
    from pathlib import Path

_MODEL = TypeVar("_MODEL", bound=BaseModel)


def first_problem(error: ValidationError) -> str:
    """Give the first thing that is wrong in a document, behind its place, such as ``runs.0.units``."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "text"
    return printable(f"{place}: {first['msg']}")


def read_document(path: Path, model: type[_MODEL], hint: str) -> _MODEL:
    """Read a document.

    Parameters
    ----------
    path
        The JSON file.
    model
        What it holds.
    hint
        What the user can do where it is missing or damaged.

    Raises
    ------
    ResultError
        It can't be read, or is not what the model says.
    """
    try:
        return model.model_validate_json(read_file(path))
    except OSError as error:
        raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror} ({hint})") from error
    except ValidationError as error:
        raise ResultError(
            f"{printable(str(path))}: is not what it should be: {first_problem(error)} ({hint})"
        ) from None

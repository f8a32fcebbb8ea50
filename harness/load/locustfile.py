"""A user's locustfile: its classes, its shape, and its words for what it rejects."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from locust.clients import ResponseContextManager
from locust.contrib.fasthttp import ResponseContextManager as FastResponseContextManager
from locust.exception import InterruptTaskSet, RescheduleTask, ResponseError, StopUser
from locust.util.load_locustfile import load_locustfile

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust import LoadTestShape, User

_MOST_WORDS: Final = 100
_MOST_CHARACTERS: Final = 200
_OTHERS: Final = "(other words)"

# How a task tells Locust to go on elsewhere: nothing is wrong with the answer.
_GOING_ON: Final = (InterruptTaskSet, RescheduleTask, StopUser)


@cache  # once in a process: it may register listeners of its own
def _loaded(locustfile: str) -> tuple[list[type[User]], list[LoadTestShape]]:
    classes, shapes = load_locustfile(locustfile)
    return list(classes.values()), shapes


def classes_of(locustfile: str) -> list[type[User]]:
    """Give the classes of users in a locustfile.

    Raises
    ------
    ValueError
        There are none.
    """
    classes, _ = _loaded(locustfile)
    if not classes:
        raise ValueError(f"{locustfile} has no class of users")
    return list(classes)


def shape_of(locustfile: str, runner: Any) -> LoadTestShape | None:
    """Give a locustfile's shape, as new; None where it has none.

    Parameters
    ----------
    locustfile
        Its path.
    runner
        Locust's runner, which a shape may ask for the number of users.

    Raises
    ------
    ValueError
        It has several.
    """
    _, shapes = _loaded(locustfile)
    if len(shapes) > 1:
        names = ", ".join(type(shape).__name__ for shape in shapes)
        raise ValueError(f"{locustfile} has {len(shapes)} shapes, and one can be in force: {names}")
    if not shapes:
        return None
    shape = type(shapes[0])()  # one that has counted in the warm-up would not begin anew
    shape.runner = runner
    return shape


class Words:
    """Counts words, such as those of failures; what comes after a hundred different ones is added up."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, exception: BaseException) -> None:
        """Count an exception by its words, or by its kind where it has none."""
        words = " ".join(str(exception).split())[:_MOST_CHARACTERS] or type(exception).__name__
        known = words in self.counts or len(self.counts) < _MOST_WORDS
        self.counts[words if known else _OTHERS] += 1


class AssertionsCount:
    """Has an exception inside a `catch_response` block count as a failure of that request.

    Locust reports no request at all there, although an instance has answered it.
    """

    _CLASSES: Final = (ResponseContextManager, FastResponseContextManager)

    def __init__(self) -> None:
        self._before = [kind.__exit__ for kind in self._CLASSES]
        for kind, leave in zip(self._CLASSES, self._before, strict=True):
            kind.__exit__ = _reporting(leave)

    def end(self) -> None:
        """Leave Locust as it was."""
        for kind, leave in zip(self._CLASSES, self._before, strict=True):
            kind.__exit__ = leave


def _reporting(leave: Callable[..., Any]) -> Callable[..., Any]:
    def exit_(self: Any, kind: Any, value: Any, traceback: Any) -> Any:
        silent = isinstance(value, Exception) and not isinstance(value, ResponseError)
        if not silent or self._manual_result is not None:
            return leave(self, kind, value, traceback)
        if not isinstance(value, _GOING_ON):
            self.failure(value)
        leave(self, None, None, None)
        return False

    return exit_

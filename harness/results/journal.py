"""Rules and configurations as a run applied them: applied.json of its result.

While a strategy exposes its members, and while it updates them, it is given the host through a thin wrapper
that notes what is asked and passes it on. Whatever it asks at other times, such as counters, is not noted.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.common.documents import first_problem
from harness.common.text import printable
from harness.errors import ResultError
from harness.strategies.actions import Command, File, Served, Spawned, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.common.channel import Channel, Message
    from harness.hosts.base import Finished, Host, Program, Service
    from harness.strategies.actions import Asked
    from harness.types import Role, Side

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
    """The actions of a strategy on a host while it exposes or updates.

    Parameters
    ----------
    host
        The host that carries it out.
    """

    def __init__(self, host: Host) -> None:
        self._began_s = time.monotonic()
        self._during: During | None = None
        self._steps: list[tuple[During, float, Asked]] = []
        self._host = cast("Host", _NotedHost(host, self._note))

    @contextmanager
    def during(self, what: During) -> Iterator[Host]:
        """Give the host; until the context ends, its actions are logged."""
        self._during = what
        try:
            yield self._host
        finally:
            self._during = None

    def _note(self, step: Asked) -> None:
        if self._during is not None:
            self._steps.append((self._during, time.monotonic() - self._began_s, step))

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
        return Applied.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise ResultError(
            f"{printable(str(path))}: is not what a run left: {first_problem(error)}; "
            f"remove it, and the report goes without"
        ) from None


class _Noted:
    """Passes on to the host whatever it does not note."""

    def __init__(self, inner: Any, note: Callable[[Asked], None]) -> None:
        self._inner = inner
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _NotedHost(_Noted):
    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        self._note(Command(tuple(argv), text))
        return cast("Finished", self._inner.run(argv, text))

    def write(self, path: str, text: str) -> None:
        self._note(File(path, text))
        self._inner.write(path, text)

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> Service:
        self._note(Served(name, tuple(argv), tuple((env or {}).items())))
        return cast("Service", self._inner.serve(name, argv, env, role))

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        self._note(Spawned(tuple(argv)))
        return cast("Program", _NotedProgram(self._inner.spawn(argv, side, role, fds), self._note))


class _NotedProgram(_Noted):
    @property
    def channel(self) -> Channel:
        return cast("Channel", _NotedChannel(self._inner.channel, self._note))


class _NotedChannel(_Noted):
    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self._note(Told(message))
        self._inner.send(message, fds)

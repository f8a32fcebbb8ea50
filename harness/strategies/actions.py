"""What a strategy asks of its host, as data: planned before a run, and noted while it exposes and updates.

A strategy gives its actions one after another, and is given the answer to each: what a program said, a
service that was started. The executor (`harness.strategies.executor`) carries them out; the plan of a run
lists the same actions with the answers that a new host would give, which each question says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    import signal

    from harness.hosts.base import Host, Program, Service
    from harness.types import Listener


@dataclass(frozen=True)
class Command:
    """A program that runs to its end, with its standard input; the answer is a `Finished`."""

    argv: tuple[str, ...]
    text: str = ""
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class File:
    """A file on the host."""

    path: str
    text: str
    kind: Literal["write"] = "write"


@dataclass(frozen=True)
class Served:
    """A program that goes on, such as a proxy, and what is added to its environment; a `Service` answers."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    kind: Literal["serve"] = "serve"


@dataclass(frozen=True)
class Spawned:
    """A program that goes on and is told what to do over a channel; the answer is a `Program`."""

    argv: tuple[str, ...]
    kind: Literal["start"] = "start"


@dataclass(frozen=True)
class Told:
    """A message to the program spawned last."""

    message: dict[str, Any]
    kind: Literal["tell"] = "tell"


Asked = Command | File | Served | Spawned | Told
"""What the plan prints, and the journal keeps."""


@dataclass(frozen=True)
class Question:
    """A command whose words the strategy goes by; the answer is a `Finished`.

    Attributes
    ----------
    command
        What is run.
    on_new_host
        What it says on a host that was just made, or what tells it; None where only the program can.
    remark
        What has to be known of that.
    """

    command: Command
    on_new_host: str | Callable[[], str] | None = None
    remark: str = ""


@dataclass(frozen=True)
class Tell:
    """A message to a program that was spawned; how it answers is known where `Hear` says so."""

    program: Program
    message: dict[str, Any]


@dataclass(frozen=True)
class Hear:
    """The next message of a program that was spawned.

    Attributes
    ----------
    program
        That of `Spawned`.
    patience_s
        How long it is waited for.
    on_new_host
        What the program says on a host that was just made.
    """

    program: Program
    patience_s: float
    on_new_host: dict[str, Any]


@dataclass(frozen=True)
class Close:
    """The end of a program that was spawned: its channel is closed."""

    program: Program


@dataclass(frozen=True)
class WaitListening:
    """Until a service listens."""

    service: Service
    listeners: tuple[Listener, ...]


@dataclass(frozen=True)
class WaitUntil:
    """Until something holds, as long as the service lives, if there is one.

    Attributes
    ----------
    remark
        What the plan says of it.
    holds
        Looks at the host, whether it holds.
    failure
        What the error says where it does not come to hold in time.
    service, listener
        What has to go on listening meanwhile, and where.
    deadline_s, every_s
        How long it is waited, and how often looked.
    """

    remark: str
    holds: Callable[[Host], bool]
    failure: str
    service: Service | None = None
    listener: Listener | None = None
    deadline_s: float = 20.0
    every_s: float = 0.01


@dataclass(frozen=True)
class Look:
    """Ask a program that runs, over a connection; the answer is what `read` gives."""

    place: str
    read: Callable[[Host], Any]


@dataclass(frozen=True)
class Signal:
    """A signal to a service's first process."""

    service: Service
    number: signal.Signals


@dataclass(frozen=True)
class Stop:
    """The end of a service."""

    service: Service


@dataclass(frozen=True)
class Pause:
    """Time that has to pass, where nothing tells when it is over."""

    seconds: float


@dataclass(frozen=True)
class ByItself:
    """A strategy that is given the host and does what it likes, as those of other packages may."""

    act: Callable[[Host], None]


Action: TypeAlias = (
    Asked
    | Question
    | Tell
    | Hear
    | Close
    | WaitListening
    | WaitUntil
    | Look
    | Signal
    | Stop
    | Pause
    | ByItself
)
_T = TypeVar("_T")
Actions: TypeAlias = Generator[Action, Any, _T]
"""Actions in order, each of which is given its answer; in the end, what came of them."""


@dataclass(frozen=True)
class Facts:
    """What is known of a host before anything is asked of it: as `Host` has it."""

    published: bool = False
    resolver: str | None = None
    engine_socket: str = ""

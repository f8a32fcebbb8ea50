"""A scenario file's text as plain data, and where in the text each piece stands.

YAML 1.2 by ruamel.yaml's parser, whose events are put together here: only so does every key and value
keep its place, and only so can duplicate keys, aliases and absurd nesting be named instead of
merged, followed or died of. The scalars are those of YAML's core schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from harness.common.quantities import shown
from harness.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

KeyPath = tuple[str | int, ...]

MOST_BYTES: Final = 1 << 20
_SHOWN_MISTAKES: Final = 10
_MOST_DEPTH: Final = 20
_MOST_EVENTS: Final = 20_000  # YAML of 1 MiB can hold a million, and take a minute
_MOST_DIGITS: Final = 40

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
# The core schema also has `.5e5`; ruamel.yaml, which writes results, takes it for text and so does this.
_FLOAT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+(?:[eE][-+][0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands; places are in order of reading: the file, then the overrides.

    Attributes
    ----------
    override
        0 in the file, else the override's number.
    line, column
        From 1; 0 in an override.
    source
        The file's path, or the override as it was given.
    """

    override: int
    line: int
    column: int
    source: str

    def __str__(self) -> str:
        return self.source if self.override else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where.

    Attributes
    ----------
    impossible
        Each value by itself is right, but the strategy can't have them together.
    """

    place: Place
    words: str
    impossible: bool = False

    def __str__(self) -> str:
        return _on_one_line(f"{self.place}: {self.words}")


def scenario_error(problems: list[Problem]) -> ScenarioError:
    """Make one error of all problems, a line each, in the order of their places."""
    return ScenarioError(first_of([str(one) for one in sorted(problems, key=lambda problem: problem.place)]))


def first_of(mistakes: Sequence[str]) -> str:
    """Give the first ten mistakes, a line each, and how many more there are."""
    more = len(mistakes) - _SHOWN_MISTAKES
    last = [f"... and {more:,} more mistake{'s' * (more > 1)}; correct these first"] if more > 0 else []
    return "\n".join([*mistakes[:_SHOWN_MISTAKES], *last])


@dataclass
class Document:
    """Plain data, the places of its pieces, and what was wrong with the text.

    Attributes
    ----------
    data
        Mappings, lists, text, numbers, booleans and None.
    keys, values
        The place of each key and of each value.
    problems
        What could be read past.
    unread
        Paths of values that could not be read; None stands in for them.
    """

    data: Any
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[KeyPath] = field(default_factory=set)

    def place(self, path: KeyPath) -> Place:
        """Find the place of a value, or of the nearest that holds it."""
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def forget(self, path: KeyPath) -> None:
        """Drop the places of a value that is replaced, and of all that it holds."""
        below = len(path)
        self.keys = {known: place for known, place in self.keys.items() if known[:below] != path}
        self.values = {known: place for known, place in self.values.items() if known[:below] != path}
        self.unread = {known for known in self.unread if known[:below] != path}


def read_text(path: Path) -> str:
    """Read a file that is small and UTF-8.

    Raises
    ------
    ScenarioError
        It is neither, or can't be read at all.
    """
    try:
        with path.open("rb") as file:
            # One byte too many is enough to know; a device may have no end.
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file") from None
    except IsADirectoryError:
        raise _unreadable(path, "this is a folder; name a scenario file in it") from None
    except PermissionError:
        raise _unreadable(path, "you may not read this file; see its permissions (ls -l)") from None
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from None
    except ValueError:
        raise _unreadable(path, "this is no file name") from None
    if len(content) > MOST_BYTES:
        raise _unreadable(path, "is larger than 1 MiB; a scenario is a page of text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        words = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise scenario_error([Problem(Place(0, line, column, str(path)), words)]) from None


def _unreadable(path: Path, words: str) -> ScenarioError:
    return ScenarioError(_on_one_line(f"{path}: {words}"))


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Reader:
    """Puts YAML text into a document.

    Parameters
    ----------
    document
        Gets the places and problems.
    place_at
        Gives the place of a line and column, both from 1.
    spelling
        Gives a key's one spelling, from the path of its mapping and the key as written.
    """

    def __init__(
        self,
        document: Document,
        place_at: Callable[[int, int], Place],
        spelling: Callable[[KeyPath, str], str],
    ) -> None:
        self._document = document
        self._place_at = place_at
        self._spelling = spelling

    def read(self, text: str, path: KeyPath = ()) -> Any:
        """Read text as the value at a path of the document, and return it; None if it is empty.

        Raises
        ------
        ScenarioError
            It is not YAML, or not one document of reasonable size.
        """
        self._events, self._count = self._parsed(text), 0
        self._document.values[path] = self._place_at(1, 1)
        self._next()  # the stream's start
        if not isinstance(self._next(), DocumentStartEvent):
            return None
        value = self._value(self._next(), path)
        self._next()  # the document's end
        if isinstance(event := self._next(), DocumentStartEvent):
            raise self._fatal(event, "a second document starts here; a scenario is one")
        return value

    def _parsed(self, text: str) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            words = error.problem or error.context
        except ReaderError as error:
            before = text[: error.position]
            at = before.count("\n") + 1, len(before) - before.rfind("\n")
            words = f"character U+{error.character:04X} is not allowed"
        except Exception as error:  # noqa: BLE001  on odd text the parser lets Python's own errors through
            at, words = (1, 1), f"this can't be parsed ({error}); look for an escape beyond \\U0010FFFF"
        else:
            return
        raise scenario_error([*self._document.problems, Problem(self._place_at(*at), f"not YAML: {words}")])

    def _next(self) -> Any:
        event = next(self._events)
        self._count += 1
        if self._count > _MOST_EVENTS:
            raise self._fatal(event, "too many values; a scenario is a page of text")
        return event

    def _place(self, event: Any) -> Place:
        return self._place_at(event.start_mark.line + 1, event.start_mark.column + 1)

    def _fatal(self, event: Any, words: str) -> ScenarioError:
        return scenario_error([*self._document.problems, Problem(self._place(event), words)])

    def _value(self, event: Any, path: KeyPath) -> Any:
        if len(path) > _MOST_DEPTH:
            raise self._fatal(event, f"nested more than {_MOST_DEPTH} levels deep; no scenario needs that")
        place = self._place(event)
        if isinstance(event, ScalarEvent) and not event.value and event.style is None:
            # What isn't there "starts" at the next thing that is; the key is nearer.
            place = self._document.keys.get(path, place)
        self._document.values[path] = place
        try:
            return self._content(event, path)
        except ValueError as error:
            self._document.problems.append(Problem(place, prefixed(path, str(error))))
            self._document.unread.add(path)
            return None

    def _content(self, event: Any, path: KeyPath) -> Any:
        if isinstance(event, AliasEvent):
            raise ValueError(f"alias *{event.anchor} is not followed; write the value itself")  # noqa: TRY004
        if event.ctag is not None:
            self._skip(event)
            tag = str(event.ctag).replace("tag:yaml.org,2002:", "!!")
            raise ValueError(f"tag {tag} is not followed; write the plain value")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return _scalar(event)

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            try:
                written = _key(event)
                key = self._spelling(path, written)
                if first := self._document.keys.get((*path, key)):
                    raise ValueError(f"duplicate key {dotted((*path, written))!r}, first given at {first}")  # noqa: TRY301
            except ValueError as error:
                self._document.problems.append(Problem(self._place(event), str(error)))
                self._skip(event)
                self._skip(self._next())
                continue
            self._document.keys[*path, key] = self._place(event)
            mapping[key] = self._value(self._next(), (*path, key))
        return mapping

    def _skip(self, event: Any) -> None:
        depth = 0
        while True:
            depth += isinstance(event, MappingStartEvent | SequenceStartEvent)
            depth -= isinstance(event, MappingEndEvent | SequenceEndEvent)
            if not depth:
                return
            event = self._next()


def _key(event: Any) -> str:
    key = _scalar(event) if isinstance(event, ScalarEvent) and event.ctag is None else None
    if isinstance(key, str):
        return key
    if isinstance(event, ScalarEvent) and event.value:
        raise ValueError(f"key {shown(event.value)[1:-1]} is not text; put it in quotes")
    raise ValueError("a key must be text")


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style is not None:
        pass
    elif _NULL.fullmatch(text):
        return None
    elif _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    elif _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(text)} digits is beyond all use")
        return int(text, 0 if text.startswith(("0o", "0x")) else 10)
    elif _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    elif _FLOAT.fullmatch(text):
        if isfinite(number := float(text)):
            return number
        raise ValueError(f"{shown(text)[1:-1]} is beyond the greatest number")
    try:
        # JSON, which is YAML too, writes characters beyond U+FFFF as the escapes of two halves.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("holds half a surrogate pair, which is no character") from None


def dotted(path: KeyPath) -> str:
    """Write a path as `load.users` or `application.command[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def prefixed(path: KeyPath, words: str) -> str:
    """Put a value's path before what is wrong with it."""
    return f"{dotted(path)}: {words}" if path else words

"""What validation finds wrong with a scenario, in the words of scenario files."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from harness.common.quantities import shown
from harness.scenario.source import Problem, dotted, prefixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from harness.scenario.source import Document, KeyPath

_EXPECTED: Final = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_COUNTS: Final = {"users", "replicas", "repeat", "requests"}
_EXAMPLES: Final = {
    "strategy": "strategy: dnat-random",
    "strategy.name": "name: dnat-random",
    "replicas": "replicas: 10",
}


def refuse(words: str, *at: str, complete: bool = False, impossible: bool = False) -> PydanticCustomError:
    """Make the error of a validator that has more to say than that its own value is wrong.

    Parameters
    ----------
    words
        What is wrong and what would be right.
    at
        The value to blame: the first of these that the file has, else the last; dotted paths
        beside the validated field, which is blamed if there are none.
    complete
        Whether the words name the value already.
    impossible
        Whether it is the strategy that can't have the value, which is right by itself.
    """
    context = {"words": words, "at": at, "complete": complete, "impossible": impossible}
    return PydanticCustomError("refused", "{words}", context)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Suggest the nearest name, as the end of a clause; nothing if none is near."""
    near = get_close_matches(name, list(names), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def unknown(kind: str, name: str, names: Sequence[str]) -> str:
    """Say that there is none of this name, and what there is."""
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"unknown {kind} {shown(name)}{did_you_mean(name, names)} ({plural}: {', '.join(names)})"


def expected(what: str, value: object) -> str:
    """Say that a value is of the wrong type."""
    kind = "the number " if isinstance(value, int | float) and not isinstance(value, bool) else ""
    kind = "the text " if isinstance(value, str) else kind
    hint = ""
    if what == "text" and not isinstance(value, dict | list):
        hint = "; put it in quotes"
    elif what.endswith("number") and isinstance(value, str) and value.isdecimal():
        hint = "; take away the quotes"
    return f"expected {what}, found {kind}{shown(value)}{hint}"


def find_nulls(document: Document) -> list[Problem]:
    """Find the keys without a value, which no scenario has a meaning for."""
    return [
        Problem(document.place(path), prefixed(path, "has no value; write one, or take the key out"))
        for path in _nulls(document.data, ())
        if path not in document.unread
    ]


def _nulls(value: Any, path: KeyPath) -> Iterable[KeyPath]:
    if value is None:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _nulls(item, (*path, key))


def explain(
    error: ValidationError, document: Document, keys_at: Callable[[KeyPath], Sequence[str]]
) -> list[Problem]:
    """Put a failed validation in words.

    Parameters
    ----------
    error
        What pydantic found.
    document
        What was validated.
    keys_at
        Gives the keys that the mapping at a path may have; none if that isn't known.
    """
    silent = set(_nulls(document.data, ()))  # they have their own words
    return [
        _problem(details, path, document, keys_at)
        for details in error.errors(include_url=False)
        for path in [_path(details, document)]
        if not any(path[:length] in silent for length in range(len(path) + 1))
    ]


def _path(details: ErrorDetails, document: Document) -> KeyPath:
    location = details["loc"]
    # A mapping's key that is wrong itself is marked so, unless "[key]" is a key of the file.
    marked = location[-1:] == ("[key]",) and location not in document.keys
    return location[:-1] if marked else location


def _problem(
    details: ErrorDetails, path: KeyPath, document: Document, keys_at: Callable[[KeyPath], Sequence[str]]
) -> Problem:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        # The path of a model among several that an option may have holds names that the file hasn't.
        place = document.keys.get(path, document.place(path))
        return Problem(place, _unknown_key(path, keys_at(path[:-1])))
    if kind == "missing":
        example = _EXAMPLES.get(dotted(path))
        words = f"missing key {dotted(path)!r}" + (f"; write, for example, {example}" if example else "")
        return Problem(document.place(path), words)
    if kind == "refused":
        candidates: list[KeyPath] = [(*path[:-1], *_split(at)) for at in context["at"]] or [path]
        path = next((candidate for candidate in candidates if candidate in document.values), candidates[-1])
        words = context["words"] if context["complete"] else prefixed(path, context["words"])
        return Problem(document.place(path), words, context["impossible"])
    place = document.keys[path] if details["loc"] != path else document.place(path)
    return Problem(place, prefixed(path, _words(kind, context, details["input"], path)))


def _split(at: str) -> KeyPath:
    """Give the keys of a dotted path; numbers are places in a list."""
    return tuple(int(part) if part.isdecimal() else part for part in at.split("."))


def _unknown_key(path: KeyPath, keys: Sequence[str]) -> str:
    words = f"unknown key {shown(dotted(path))}"
    near = get_close_matches(str(path[-1]), keys, n=1)
    if near:
        return f"{words}, did you mean {dotted((*path[:-1], near[0]))!r}?"
    return f"{words} (keys: {', '.join(keys)})" if keys else words


def _words(kind: str, context: dict[str, Any], value: Any, path: KeyPath) -> str:
    few, many = ("few", "many") if path[-1] in _COUNTS else ("small", "large")
    number = "a whole number of" if isinstance(value, int) else "a number of"
    match kind:
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"{shown(value)} is too {few}; write {number} at least {context['ge']}"
        case "less_than_equal":
            return f"{shown(value)} is too {many}; write {number} at most {context['le']}"
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", context["expected"])
            near = did_you_mean(value, choices) if isinstance(value, str) else ""
            return f"unknown value {shown(value)}{near} (values: {', '.join(choices)})"
    if what := _EXPECTED.get(kind):
        return expected(what, value)
    # Only the options of other packages' strategies can be wrong in yet other ways.
    rule = ", ".join(f"{name} {limit}" for name, limit in context.items())
    return f"{shown(value)} is not valid here ({kind.replace('_', ' ')}{': ' * bool(rule)}{rule})"

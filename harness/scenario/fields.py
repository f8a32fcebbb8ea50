"""The kinds of value in a scenario: how each is read, checked, written and described to editors."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from harness.common.quantities import (
    DURATION_PATTERN,
    MEMORY_PATTERN,
    PERCENTAGE_PATTERN,
    RATE_PATTERN,
    format_duration,
    format_memory,
    format_percentage,
    format_rate,
    parse_duration,
    parse_memory,
    parse_percentage,
    parse_rate,
    shown,
)
from harness.errors import HarnessError
from harness.scenario.problems import expected, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

WRITTEN: Final = "as written in a file"  # the context of validation that expects quantities with units
NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
INSTANCE_PATTERN: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # a label of a host name, RFC 1123
_PATH_PATTERN: Final = "^/[!-~]*$"
# Nothing that proxies read in different ways: no capitals (Caddy pays them no heed), no //, ., .. and %.
_ROUTE_PATH: Final = "^(/[a-z0-9_~-][a-z0-9._~-]*)*/?$"
_HOST_NAME: Final = rf"^{INSTANCE_PATTERN}(\.{INSTANCE_PATTERN})*$"
_LONGEST_HOST: Final = 253  # RFC 1035, section 2.3.4, without the root's dot
_LONGEST_ROUTE: Final = 40  # its instances' names have a number behind it
_HEADER_NAME: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
_MOST_CORES: Final = 1024
_HARNESS_HEADERS: Final = {"connection", "content-length", "transfer-encoding"}


def _existing_file(path: str) -> str:
    """Give a file's whole path, by which it is found from anywhere."""
    if not Path(path).is_file():
        raise ValueError(f"{shown(path)} is no file that is there, seen from {Path.cwd()}")
    return str(Path(path).resolve())


def _quantity(parse: Callable[[object], float]) -> BeforeValidator:
    def read(value: Any, info: ValidationInfo) -> Any:
        return parse(value) if info.context == WRITTEN else value

    return BeforeValidator(read)


def _more_than_nothing(duration_ns: int) -> int:
    if not duration_ns:
        raise ValueError("0s is too short; write more than 0s")
    return duration_ns


def _cores(number: float) -> float:
    if not 0 < number <= _MOST_CORES:
        few = "few" if number <= 0 else "many"
        raise ValueError(f"{number:g} is too {few}; write cores, as in 0.5 or 2")
    return number


def _tolerance(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError(f"{format_percentage(share)} is out of range; write more than 0% and less than 100%")
    return share


def _error_limit(share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError(f"{format_percentage(share)} is out of range; write 0% to 100%")
    return share


def _confidence(share: float) -> float:
    if not 0.5 <= share < 1:
        raise ValueError(f"{format_percentage(share)} is out of range; write at least 50% and less than 100%")
    return share


def _folder_name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"{shown(name)} can't name a folder; write at most 64 letters, digits, '.', '_' and '-', "
            "a letter or digit first (without this key, the file's name is taken)"
        )
    return name


def _instance_name(name: str) -> str:
    if not re.fullmatch(INSTANCE_PATTERN, name):
        raise ValueError(
            f"{shown(name)} can't name an instance; write at most 63 small letters, digits and '-', "
            "a letter or digit first and last"
        )
    return name


def _image_reference(reference: str) -> str:
    from harness.images.references import parsed  # noqa: PLC0415  20 ms, for scenarios that name one

    try:
        parsed(reference)
    except HarnessError as error:
        raise ValueError(str(error)) from error
    return reference


def _header_name(name: str) -> str:
    if not re.fullmatch(_HEADER_NAME, name):
        raise ValueError(f"{shown(name)} is no header name; write letters, digits and '-'")
    return name


def _load_header_name(name: str) -> str:
    if name.lower() in _HARNESS_HEADERS:
        raise ValueError("the harness sets this header itself; take it out")
    return _header_name(name)


def _header_value(value: str) -> str:
    if not re.fullmatch(r"[ -~\t]*", value):
        raise ValueError(f"{shown(value)} is no header value; write printable ASCII")
    return value


def _url_path(path: str) -> str:
    if not re.fullmatch(_PATH_PATTERN, path):
        raise ValueError(f"{shown(path)} is no path; write '/' and printable ASCII without blanks")
    return path


def _route_path(path: str) -> str:
    if not path or not re.fullmatch(_ROUTE_PATH, path):
        raise ValueError(
            f"{shown(path)} is no path of a route; write '/' and small letters, digits, '-', '_', '~' and "
            "'.', as in /api/v1"
        )
    return path


def _host_name(name: str) -> str:
    if len(name) > _LONGEST_HOST or not re.fullmatch(_HOST_NAME, name):
        raise ValueError(f"{shown(name)} is no host name; write small letters, as in api.example")
    return name


def _route_name(name: str) -> str:
    if len(name) > _LONGEST_ROUTE or not re.fullmatch(INSTANCE_PATTERN, name):
        raise ValueError(
            f"{shown(name)} can't name a route; write at most {_LONGEST_ROUTE} small letters, digits and "
            "'-', a letter or digit first and last"
        )
    return name


def _environment_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"{shown(name)} is no variable's name; write one without '=' and NUL")
    return name


def _program_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("a program can't be given a NUL character; take it out")
    return text


def _command(command: Any) -> Any:
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"{shown(command)} can't be split into words: {str(error).lower()}") from None
    if not isinstance(command, list | tuple):
        raise refuse(expected("a command as text or list", command))
    if not command or not command[0]:
        raise ValueError("names no program; write the program and its arguments")
    return tuple(command)


def _pattern(pattern: str) -> str:
    try:
        # As bytes and with warnings as errors: so it is used later, when a warning would come too late.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            groups = re.compile(pattern.encode()).groups
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"{shown(pattern)} is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{shown(pattern)} has {groups} groups; write one, around the instance's name")
    return pattern


def _connections(value: Any) -> str | int:
    if value in ("per-request", "keep-alive") or (type(value) is int and value >= 1):
        return value  # type: ignore[no-any-return]  # just checked
    raise ValueError(
        f"{shown(value)} is no way to use connections; write per-request, keep-alive, or how many requests "
        "each connection carries (a whole number of at least 1)"
    )


def _whom(value: Any) -> str | int:
    if type(value) is int:
        if value < 1:
            raise ValueError(f"{value} is too few; write a whole number of at least 1")
        return value
    if isinstance(value, str) and re.fullmatch(f"{INSTANCE_PATTERN}|{PERCENTAGE_PATTERN}", value):
        return value
    raise ValueError(
        f"{shown(value)} names no instance; write how many, an instance's name, a share such as 50%, or all"
    )


Duration = Annotated[
    int,
    Field(ge=0),
    _quantity(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
ExistingFile = Annotated[str, AfterValidator(_existing_file)]
LastingDuration = Annotated[Duration, AfterValidator(_more_than_nothing)]
Cores = Annotated[
    float,
    AfterValidator(_cores),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": _MOST_CORES}),
]
Memory = Annotated[
    int,
    Field(gt=0),
    _quantity(parse_memory),
    PlainSerializer(format_memory, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN}),
]
ImageReference = Annotated[str, AfterValidator(_image_reference)]
Rate = Annotated[
    float,
    _quantity(parse_rate),
    PlainSerializer(format_rate, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": RATE_PATTERN}),
]
Percentage = Annotated[
    float,
    _quantity(parse_percentage),
    PlainSerializer(format_percentage, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PERCENTAGE_PATTERN}),
]
Whom = Annotated[
    int | str,
    PlainValidator(_whom),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": f"^({INSTANCE_PATTERN})$|{PERCENTAGE_PATTERN}"},
            ]
        }
    ),
]
Weight = Annotated[int, Field(ge=1, le=256)]
InstanceName = Annotated[str, AfterValidator(_instance_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
ProgramText = Annotated[str, AfterValidator(_program_text)]
ErrorLimit = Annotated[Percentage, AfterValidator(_error_limit)]
Tolerance = Annotated[Percentage, AfterValidator(_tolerance)]
Confidence = Annotated[Percentage, AfterValidator(_confidence)]
Name = Annotated[str, AfterValidator(_folder_name), Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$"})]
UrlPath = Annotated[str, AfterValidator(_url_path), Field(json_schema_extra={"pattern": _PATH_PATTERN})]
RoutePath = Annotated[str, AfterValidator(_route_path), Field(json_schema_extra={"pattern": _ROUTE_PATH})]
HostName = Annotated[str, AfterValidator(_host_name), Field(json_schema_extra={"pattern": _HOST_NAME})]
RouteName = Annotated[str, AfterValidator(_route_name)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
LoadHeaderName = Annotated[str, AfterValidator(_load_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
EnvironmentName = Annotated[str, AfterValidator(_environment_name)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Command = Annotated[
    tuple[ProgramText, ...],
    BeforeValidator(_command),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
Connections = Annotated[
    Literal["per-request", "keep-alive"] | int,
    PlainValidator(_connections),
    WithJsonSchema({"anyOf": [{"enum": ["per-request", "keep-alive"]}, {"type": "integer", "minimum": 1}]}),
]

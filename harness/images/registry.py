"""Getting images from elsewhere: from this machine's own Docker, or from a registry through skopeo.

Both are only read from. skopeo copies an image into a file and needs neither a daemon nor privileges.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.text import printable, stderr_tail
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.api.client import APIClient

    from harness.images.references import Reference

DOCKER = "this machine's Docker"
REGISTRY = "registry"

_SOCKET = Path("/var/run/docker.sock")
_ANSWER_S = 5
_SAVE_S = 900
_INSPECT_S = 20
_COPY_S = 1800
_TELL_S = 5
_LOOK_S = 0.05
_LONGEST = 300
_UNREACHABLE = re.compile(
    r"dial tcp|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|x509|proxyconnect|"
    r"network is unreachable|HTTP response to HTTPS|context deadline|pinging container registry|EOF"
)
_MISSING = re.compile(r"manifest unknown|name unknown|not found|NAME_UNKNOWN|MANIFEST_UNKNOWN|is denied")


class NotToBeHadError(EngineError):
    """Neither Docker nor the registry has the image.

    Attributes
    ----------
    reasons
        What each said.
    """

    def __init__(self, reference: str, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__(
            f"the image {reference} can't be had: {'; '.join(reasons)}\n"
            f"where it is, write it to a file and add that: docker save {reference} | harness images add -"
        )


class _NoError(Exception):
    """A source does not have the image; the message has the reason."""


class _SilentError(_NoError):
    """A source can't be reached at all."""


class Elsewhere:
    """Docker and registries; a source that did not answer is not tried again."""

    def __init__(self) -> None:
        self._silent: dict[str, str] = {}

    def fetch(self, reference: Reference, file: Path, tell: Callable[[str], None]) -> str:
        """Write an image's archive to a file, and say where it is from.

        Parameters
        ----------
        reference
            Which image.
        file
            One that is there and empty.
        tell
            Receives a line about each long step.

        Raises
        ------
        NotToBeHadError
            No source has it.
        """
        reasons = []
        sources = ((DOCKER, DOCKER, _save), (reference.registry, REGISTRY, _copy))
        for who, origin, get in sources:
            if who in self._silent:
                reasons.append(f"{who}: {self._silent[who]}")
                continue
            try:
                get(reference, file, tell)
            except _NoError as error:
                reasons.append(f"{who}: {error}")
                if isinstance(error, _SilentError):
                    self._silent[who] = str(error)
            else:
                return origin
        raise NotToBeHadError(reference.familiar, reasons)

    def docker_id(self, reference: Reference) -> str | None:
        """Give the ID by which Docker knows an image; None if it knows none, or there is no Docker."""
        try:
            if DOCKER in self._silent:
                return None
            with _docker() as client:
                return str(_inspected(client, reference)["Id"])
        except _SilentError as error:
            self._silent[DOCKER] = str(error)
        except _NoError:
            pass
        return None


# This machine's Docker


@contextmanager
def _docker() -> Iterator[APIClient]:
    """Speak with the daemon, if there is one; the SDK costs 0.2 s, so whether there is one comes first."""
    place = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    if place.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_ANSWER_S)
            try:
                probe.connect(place.removeprefix("unix://"))
            except FileNotFoundError as error:
                raise _SilentError("there is none") from error
            except OSError as error:
                raise _SilentError(_brief(error.strerror or str(error))) from error
    from docker import from_env  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    try:
        client = from_env(timeout=_ANSWER_S).api
    except (DockerException, RequestException, OSError, ValueError) as error:
        raise _SilentError(_brief(str(error)) or "it does not answer") from error
    try:
        yield client
    except (DockerException, RequestException, OSError) as error:
        raise _NoError(_brief(str(error))) from error
    finally:
        client.close()


def _inspected(client: APIClient, reference: Reference) -> dict[str, Any]:
    from docker.errors import ImageNotFound  # noqa: PLC0415  it has been imported by now

    try:
        return client.inspect_image(reference.familiar)  # type: ignore[no-any-return, no-untyped-call]
    except ImageNotFound as error:
        raise _NoError("it has no such image") from error


def _save(reference: Reference, file: Path, tell: Callable[[str], None]) -> None:
    with _docker() as client:
        _inspected(client, reference)
        tell(f"copying {reference.familiar} from this machine's Docker")
        client.timeout = _SAVE_S
        end = time.monotonic() + _SAVE_S
        with file.open("r+b") as out:
            out.truncate(0)
            for piece in client.get_image(reference.familiar):
                out.write(piece)
                if time.monotonic() > end:
                    raise _NoError(f"the copy was not there within {_SAVE_S} s")


# A registry


def _copy(reference: Reference, file: Path, tell: Callable[[str], None]) -> None:
    if shutil.which("skopeo") is None:
        raise _SilentError("needs skopeo: apt-get install skopeo")
    verify = "false" if reference.is_here else "true"
    tell(f"looking for {reference.familiar} in {reference.registry}")
    _skopeo(["inspect", "--raw", f"--tls-verify={verify}", f"docker://{reference}"], file, _INSPECT_S)
    began = told = time.monotonic()

    def tell_size() -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            size = file.stat().st_size
            tell(f"copying {reference.familiar}: {size / 1e6:,.0f} MB in {told - began:.0f} s")

    # Of the file, the name alone: with a colon in its folder's, skopeo would take it for another thing.
    there = f"docker-archive:{file.name}:{reference.loadable}"
    options = ["--quiet", f"--src-tls-verify={verify}"]
    file.write_bytes(b"")
    _skopeo(["copy", *options, f"docker://{reference}", there], file, _COPY_S, tell_size)


def _skopeo(
    arguments: list[str], file: Path, patience_s: float, meanwhile: Callable[[], None] = lambda: None
) -> None:
    with tempfile.TemporaryFile() as said:
        command = ["skopeo", "--override-os=linux", *_policy(), *arguments]
        skopeo = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, cwd=file.parent
        )
        end = time.monotonic() + patience_s
        try:
            while skopeo.poll() is None:
                if time.monotonic() > end:
                    raise _SilentError(f"no answer within {patience_s} s")
                meanwhile()
                time.sleep(_LOOK_S)
        finally:
            skopeo.kill()
            skopeo.wait()
        said.seek(0)
        words = said.read()
    if skopeo.returncode:
        brief = _fatal(words)
        if _MISSING.search(brief):
            raise _NoError("it has no such image, or lets only some have it")
        raise (_SilentError if _UNREACHABLE.search(brief) else _NoError)(brief)


def _policy() -> list[str]:
    """Leave trust to the machine's policy; without one, skopeo would do nothing."""
    places = (Path.home() / ".config/containers/policy.json", Path("/etc/containers/policy.json"))
    return [] if any(place.exists() for place in places) else ["--insecure-policy"]


def _fatal(said: bytes) -> str:
    """Find what matters in skopeo's last line: what is behind all that names the image again."""
    message = re.search(rb'level=fatal msg="(.*)"', said)
    text = message[1].decode(errors="replace").replace('\\"', '"') if message else stderr_tail(said)
    return _brief(text.rpartition('": ')[2])


def _brief(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

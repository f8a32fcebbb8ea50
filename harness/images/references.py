"""What an image is called: ``[REGISTRY/]PATH[:TAG][@DIGEST]``, as Docker and Podman read it.

References come from scenarios and end up as arguments of other programs, so nothing passes that is
no reference; an option of those programs, for one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.common.text import printable
from harness.errors import EngineError

_HUB = "docker.io"
_OFFICIAL = "library/"
_LONGEST = 255

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_WORD}(?:\.{_WORD})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_REGISTRY})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")


@dataclass(frozen=True)
class Reference:
    """One image's name, with all that a short form leaves out.

    Attributes
    ----------
    registry
        The registry's name, as in ``docker.io``.
    path
        What it is called there, as in ``library/nginx``.
    tag
        Which of those; empty where only a digest was given.
    digest
        As in ``sha256:…``, or empty.
    """

    registry: str
    path: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.tag}")

    @property
    def familiar(self) -> str:
        """The shortest form, which `docker save` writes: ``nginx:1.22.1``."""
        return str(self).removeprefix(f"{_HUB}/{_OFFICIAL}").removeprefix(f"{_HUB}/")

    @property
    def loadable(self) -> str:
        """A form with a tag, since archives know no digests: the digest's beginning stands for it."""
        short = self.digest.partition(":")[2][:16]
        return self.familiar.partition("@")[0] + f":sha256-{short}" if short else self.familiar

    @property
    def is_here(self) -> bool:
        """Whether its registry is this machine, for which Docker, too, needs no certificate."""
        return bool(_LOOPBACK.fullmatch(self.registry))


def parsed(text: str) -> Reference:
    """Read a reference, short or long.

    Raises
    ------
    EngineError
        It is none.
    """
    match = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise EngineError(
            f"{printable(text[:_LONGEST])!r} is no reference of an image; write one such as nginx:1.22.1 or "
            "registry.example/team/app:7"
        )
    registry, path = match["registry"] or "", match["path"]
    if registry and not ("." in registry or ":" in registry or registry in {"localhost", registry.upper()}):
        # As Docker has it, what is before the first slash names a registry only if it looks like one.
        path, registry = f"{registry}/{path}", ""
    if not registry or registry in {"index.docker.io", "registry-1.docker.io"}:
        registry = _HUB
    if registry == _HUB and "/" not in path:
        path = _OFFICIAL + path
    digest = match["digest"] or ""
    return Reference(registry, path, "" if digest else match["tag"] or "latest", digest)

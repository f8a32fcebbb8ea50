"""The compiled part; all else about the package stands in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

WIRE = Path("harness/load/wire")

setup(
    ext_modules=[
        Extension(
            "harness.load._wire",
            sorted(map(str, WIRE.rglob("*.c"))),
            depends=sorted(map(str, WIRE.rglob("*.h"))),
            extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
            libraries=["m"],
            # Where there is no compiler, users of plain Python take over, and results say so.
            optional=True,
        )
    ]
)

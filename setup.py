"""The compiled part; all else about the package stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "harness.load._wire",
            [f"harness/load/wire/{name}.c" for name in ("module", "engine", "codecs/http1")],
            depends=[f"harness/load/wire/{name}.h" for name in ("engine", "codecs/http1")],
            extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra"],
            libraries=["m"],
            # Where there is no compiler, users of plain Python take over, and results say so.
            optional=True,
        )
    ]
)

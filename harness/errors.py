"""Every error that a user can meet.

    HarnessError                 exit status 2, one or two lines, no traceback
    ├── ScenarioError            the YAML file is wrong; says file:line:column
    ├── HostError                the throw-away machine could not be made, or went away
    ├── EngineError              an instance did not start, died or never listened
    ├── StrategyError            the endpoint could not be exposed
    │   ├── RefusedError         the strategy can't put so many instances on one port, whatever the host
    │   └── KernelLacksError     the host's kernel has not the part that the strategy needs
    ├── LoadError                the generator failed, or got no answer
    └── ResultError              a result could not be read or written

A message names the thing, where it stands, why it is wrong and what to do.
"""

from __future__ import annotations

import errno


class HarnessError(Exception):
    """A failure that the user can understand and mend."""

    def _render_traceback_(self) -> list[str]:
        """Give what a notebook shows of it: IPython asks for this in place of a traceback."""
        return [f"error: {self}", *getattr(self, "__notes__", ())]


class ScenarioError(HarnessError):
    """A scenario file that can't be read or doesn't say what it must."""


class HostError(HarnessError):
    """The throw-away machine could not be made, or ended too early."""


class EngineError(HarnessError):
    """An instance did not start, died or never listened."""


class StrategyError(HarnessError):
    """A strategy could not be carried out."""


class RefusedError(StrategyError):
    """A strategy can't put so many instances on one port, whatever the host."""


class KernelLacksError(StrategyError):
    """The host's kernel has not the part that a strategy needs."""


class LoadError(HarnessError):
    """The load generator failed, or got no answer."""


class ResultError(HarnessError):
    """A result could not be read or written."""


def defect(error: BaseException) -> str:
    """Tell of an error that no user can mend, in one line; of one that the machine's limits cause, so."""
    if (limit := _limit(error)) is not None:
        return limit
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"a defect of the harness, not of yours: {what} (HARNESS_DEBUG=1 shows where)"


_OUT_OF_MEMORY = ("failed to map segment", "cannot allocate memory", "can't start new thread")


def _limit(error: BaseException) -> str | None:
    """Explain an error of the system that has run out of something; None for any other."""
    words, number = str(error).lower(), getattr(error, "errno", None)
    no_memory = isinstance(error, MemoryError) or number == errno.ENOMEM
    if no_memory or any(sign in words for sign in _OUT_OF_MEMORY):
        return (
            "the harness got no more memory: see ulimit -v, ulimit -u, the limit of its control group, and "
            f"what is free ({type(error).__name__})"
        )
    if number in {errno.EMFILE, errno.ENFILE}:
        return "the harness may open no more files: see ulimit -n and fs.file-max"
    if number in {errno.ENOSPC, errno.EDQUOT}:
        where = f"{name}: " if (name := getattr(error, "filename", None)) else ""
        return f"{where}the disk is full, or the user's share of it"
    return None

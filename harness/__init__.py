"""sameport: measures every way to put N containers on one port of one Linux machine.

In Python, for notebooks and scripts (docs/python.md):

    import harness

    results = harness.load_results("results")
    result = harness.run("scenarios/dnat-10.yaml", replicas=4)
"""

from __future__ import annotations

from harness._version import __version__

# As of typing, whose import takes longer than all else before a command can handle Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

    from harness.notebook.library import Results
    from harness.notebook.result import Result

__all__ = ["__version__", "load_results", "run"]


def load_results(*paths: str | os.PathLike[str]) -> Results:
    """Find results below these folders; ``results`` by default.

    Parameters
    ----------
    paths
        Results' folders, and folders that hold some: in themselves, or in the folders right below. A
        folder of condensed results (docs/suites.md) holds a result for each line of its runs.jsonl.

    Returns
    -------
    Results
        A sequence, whose members are read on first use.

    Raises
    ------
    HarnessError
        A path does not exist, there is no result in it, or a line of condensed results is damaged.
    """
    from harness.notebook.library import find_results  # noqa: PLC0415  importing harness stays cheap

    return find_results(*paths)


def run(
    scenario: str | os.PathLike[str],
    *,
    results: str | os.PathLike[str] = "results",
    quiet: bool = False,
    **overrides: Any,
) -> Result:
    """Run a scenario once, as `harness run` does, and give its result.

    Parameters
    ----------
    scenario
        The scenario's file.
    results
        The folder that the result's folder is made in.
    quiet
        Say nothing; otherwise each phase is a line.
    overrides
        Keys of the scenario with what they are to say instead of the file, written as in a file:
        ``replicas=4``, ``tolerance="5%"``, ``load={"users": 8, "duration": "2s"}``. Of ``load`` and
        ``application``, what is not named stays as it is.

    Returns
    -------
    Result
        With a verdict, whatever the scenario expects.

    Raises
    ------
    HarnessError
        The scenario is wrong, has a ``repeat``, or the run failed.
    KeyboardInterrupt
        The run was interrupted before anything was measured; later, what was measured is the result.
    """
    from harness.notebook.running import run_scenario  # noqa: PLC0415  as above

    return run_scenario(scenario, results, overrides, quiet=quiet)

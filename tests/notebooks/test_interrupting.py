"""Interrupting the kernel while a scenario runs in it."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE_S = 60
_RUN = """
import harness
result = harness.run({scenario!r}, results={results!r}, load={{"duration": "1m", "warm_up": "0s"}})
print("interrupted:", result.document.interrupted, result.document.counts.requests > 0)
"""


@pytest.fixture
def kernel(project: Path) -> Iterator[KernelManager]:
    """Start a kernel, as Jupyter does."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(project))
    yield manager
    manager.shutdown_kernel(now=True)


def test_an_interrupted_run_keeps_what_it_measured(kernel: KernelManager, project: Path) -> None:
    """As after Ctrl-C: the load ends, the result is judged, and the cell goes on."""
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_DEADLINE_S)
        scenario, results = str(project / "scenarios" / "dnat-10.yaml"), str(project / "results")
        client.execute(_RUN.format(scenario=scenario, results=results))
        said = _until(client, "load: ")
        kernel.interrupt_kernel()
        said += _until(client, "interrupted: ")
    finally:
        client.stop_channels()
    assert "interrupted: True True" in said
    (made,) = (entry for entry in (project / "results").iterdir() if entry.name != "reference")
    assert (made / "summary.json").is_file()


def _until(client: Any, words: str) -> str:
    """Collect what the kernel prints until it has said something; an error in it is one of the test."""
    said = ""
    until_s = time.monotonic() + _DEADLINE_S
    while words not in said:
        assert time.monotonic() < until_s, said
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        content = message["content"]
        assert message["msg_type"] != "error", content
        said += content.get("text", "") if message["msg_type"] == "stream" else ""
    return said

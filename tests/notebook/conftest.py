"""Results to load: made-up recordings, judged and stored by the real code."""

from __future__ import annotations

from tests.gate.conftest import measure, stored

__all__ = ["measure", "stored"]

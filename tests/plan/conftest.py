"""A host with instances, which tests of strategies have, too."""

from __future__ import annotations

from tests.strategies.conftest import lab

__all__ = ["lab"]

"""The former name of `harness.stats.multiplicity`, kept for code that imports it."""

from harness.stats.multiplicity import chi_square_of_all, confidence_of_each, verdict_of_all

__all__ = ["chi_square_of_all", "confidence_of_each", "verdict_of_all"]

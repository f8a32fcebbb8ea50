"""The part of a summary that says what tests found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """What all parts of a summary have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChiSquareTest(Model):
    """Pearson's test of goodness of fit."""

    statistic: float
    dof: int
    p_value: float


class ToleranceBand(Model):
    """An instance's band of shares, and p-values as in `harness.stats.equivalence`."""

    name: str
    lower_bound: float
    upper_bound: float
    p_below: float
    p_above: float
    p_outside: float


class ToleranceTest(Model):
    """The tests that the verdict follows from.

    `missing` units can't be attributed to an instance. Counts were divided by `dispersion` first.
    `more_units` would decide an inconclusive verdict, in `more_seconds` at the measured rate; null where
    there is a verdict, or no sensible number would. Where they are more than the clients have, however long
    the load, `most_units` is what those have.
    """

    alpha: float
    missing: int
    dispersion: float = 1.0
    more_units: int | None = None
    more_seconds: float | None = None
    most_units: int | None = None
    instances: tuple[ToleranceBand, ...]


class FitTest(Model):
    """Goodness of fit and measures of evenness, as in `harness.stats.fairness.GoodnessOfFit`."""

    p_value: float
    p_more_even: float
    spread: Literal["by chance", "more even", "less even"]
    valid: bool
    simulated_p_value: float | None
    g_test: ChiSquareTest
    cohen_w: float
    jain_index: float
    max_over_mean: float
    coefficient_of_variation: float


class DriftTest(Model):
    """Whether counts vary between time windows, as in `harness.stats.drift.Drift`."""

    windows: int
    instances: int
    statistic: float
    dof: int
    p_value: float
    dispersion: float
    varies: bool
    inflation: float


class OrderTest(Model):
    """What the order of choices is like, as in `harness.stats.ordering.Order`."""

    runs: int
    expected_runs: float
    variance: float
    z: float
    p_value: float
    repeat_ratio: float
    dependence: float | None
    kind: Literal["in turn", "random", "sticky"]


class RequestsTest(Model):
    """Chi-square of the requests, where they are not the unit; `corrected` by the design effect."""

    chi_square: ChiSquareTest
    design_effect: float
    corrected: ChiSquareTest


class LookRow(Model):
    """A look at the counts while the load ran."""

    records: int
    elapsed_ns: int


class SequentialSummary(Model):
    """A load that was to end with its verdict.

    `decided_after_s` is when it had one, null where it had none before its end. `half_width` is that of
    the widest interval, relative to the expected share. `fit_p_value` tests the expected shares
    themselves and holds for any number of interim looks.
    """

    looks: tuple[LookRow, ...]
    decided_after_s: float | None
    half_width: float | None
    fit_p_value: float | None


class Tests(Model):
    """All tests; null where there is too little to make one."""

    chi_square: ChiSquareTest | None
    fit: FitTest | None = None
    tolerance: ToleranceTest
    drift: DriftTest | None = None
    order: OrderTest | None = None
    requests: RequestsTest | None = None
    sequential: SequentialSummary | None = None

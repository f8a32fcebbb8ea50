"""What a scenario requires of a strategy after its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from harness.common.quantities import format_duration
from harness.scenario.base import Model
from harness.scenario.fields import LastingDuration, Percentage
from harness.scenario.problems import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import PydanticCustomError


class Required(Model):
    """How soon the distribution has to be right again after each event, and what may be lost by then."""

    within_ns: LastingDuration | None = Field(
        default=None,
        description="How long after each event the distribution is to be within the tolerance again.",
    )
    lost: Percentage | None = Field(
        default=None,
        description="What share of the requests, from the first event to the end, may be lost at most.",
    )

    @field_validator("lost")
    @classmethod
    def _less_than_all(cls, lost: float | None) -> float | None:
        if lost is not None and not 0 <= lost < 1:
            raise ValueError("a share of the requests is from 0% to less than 100%")
        return lost

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.within_ns is None and self.lost is None:
            words = "recovers: requires nothing; write within, lost or both, as in {within: 2s, lost: 0.1%}"
            raise refuse(words, "recovers", complete=True)
        return self

    def problem(self, moments_ns: Sequence[int], duration_ns: int) -> PydanticCustomError | None:
        """Say what can't be met, or shown, with these events in a load of this duration."""
        if not moments_ns:
            words = "recovers: nothing happens that could be recovered from; write events, or take it out"
            return refuse(words, "recovers", complete=True)
        if self.within_ns is None:
            return None
        *_, last_ns = sorted(moments_ns)
        if last_ns + self.within_ns >= duration_ns:
            words = (
                f"{format_duration(self.within_ns)} after the last event (at {format_duration(last_ns)}) the "
                f"load is over (load.duration: {format_duration(duration_ns)}); lengthen it"
            )
            return refuse(words, "recovers.within", "recovers")
        return None

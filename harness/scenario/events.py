"""What happens to instances while the load is measured, as a scenario says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator

from harness.common.quantities import format_percentage
from harness.faults import FAULTS, fault_kinds
from harness.scenario.base import Model
from harness.scenario.fields import (
    Command,
    Duration,
    EnvironmentName,
    ImageReference,
    InstanceName,
    LastingDuration,
    Percentage,
    ProgramText,
    Whom,
)
from harness.scenario.problems import refuse

if TYPE_CHECKING:
    from harness.faults.kind import FaultKind

Style = Literal["blue-green", "rolling", "canary"]


def _a_share(share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError(f"{format_percentage(share)} is out of range; write 0% to 100%")
    return share


_VALUES: Final[dict[str, Any]] = {
    "whom": Whom,
    "duration": Duration,
    "share": Annotated[Percentage, AfterValidator(_a_share)],
}


class Release(Model):
    """What instances of a new version run, where that differs from what the others do."""

    command: Command | None = Field(default=None, description="The program and its arguments.")
    image: ImageReference | None = Field(
        default=None, description="A container image, on an engine that runs images."
    )
    env: dict[EnvironmentName, ProgramText] = Field(
        default={}, description="Environment variables, beside those that the others have."
    )


class EventBase(Model):
    """Something that happens to instances while the load is measured."""

    at_ns: Duration = Field(description="When, from the beginning of the load on.")
    who: Whom | None = Field(
        default=None, description="The instances that are slow or fail; one, if left out."
    )
    with_: InstanceName | None = Field(
        default=None,
        description="The new version's name: its instances are NAME-1, NAME-2, ..., and have it as VERSION.",
    )
    style: Style | None = Field(
        default=None,
        description="blue-green: all at once; rolling: one after the other; canary: beside the old ones.",
    )
    weights: dict[InstanceName, Percentage] | None = Field(
        default=None, description="What share of the load a canary is to get, by the new version's name."
    )
    for_ns: LastingDuration | None = Field(
        default=None, description="Over how long a rolling replacement is spread; as quick as may be without."
    )
    application: Release | None = Field(
        default=None, description="What the new version runs, where it differs."
    )

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        written = [kind for kind in fault_kinds() if getattr(self, _field(kind)) is not None]
        if len(written) != 1:
            names = ", ".join(FAULTS.names())
            raise refuse(f"an event is one of {names}, as in {{at: 3s, kill: 1}}; write one", complete=True)
        (kind,) = written
        for name, value in self._beside().items():
            if value is not None and name not in kind.keys:
                owners = [other.name for other in fault_kinds() if name in other.keys]
                belongs = "belong" if name == "weights" else "belongs"
                words = f"{name} {belongs} to {' and '.join(owners)}; take it out of {kind.name}"
                raise refuse(words, complete=True)
        if complaint := kind.check(self):
            raise refuse(complaint, complete=True)
        return self

    def _beside(self) -> dict[str, object]:
        """Give the keys that may stand beside a fault's name, as they are in a file."""
        return {
            "who": self.who,
            "with": self.with_,
            "style": self.style,
            "weights": self.weights,
            "for": self.for_ns,
            "application": self.application,
        }

    @property
    def kind(self) -> FaultKind:
        """The fault."""
        return next(kind for kind in fault_kinds() if getattr(self, _field(kind)) is not None)

    @property
    def action(self) -> str:
        """The fault's name."""
        return self.kind.name

    @property
    def value(self) -> Any:
        """What stands behind the fault's name."""
        return getattr(self, _field(self.kind))

    @property
    def whom(self) -> str | int:
        """The instances that are meant: a name, how many, a share of those there, or all."""
        whom = self.value if self.kind.value == "whom" else self.who
        return 1 if whom is None else whom


def _field(kind: FaultKind) -> str:
    return f"{kind.name}_ns" if kind.value == "duration" else kind.name


def _with_faults() -> type[EventBase]:
    """Give the model that has a key for each kind of fault, those of other packages among them."""
    keys: dict[str, Any] = {
        _field(kind): (_VALUES[kind.value] | None, Field(default=None, description=kind.does))
        for kind in fault_kinds()
    }
    return create_model("Event", __base__=EventBase, __module__=__name__, __doc__=EventBase.__doc__, **keys)


if TYPE_CHECKING:
    Event = EventBase
else:
    Event = _with_faults()

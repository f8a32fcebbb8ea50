"""What happens to instances while the load is measured, as a scenario says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.common.quantities import format_duration, format_percentage
from harness.engines import ENGINES
from harness.faults.planning import ImpossibleError, script
from harness.hosts import HOSTS
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
    from collections.abc import Sequence

    from harness.faults.planning import PlannedFault
    from harness.scenario.model import Scenario

Action = Literal["kill", "stop", "pause", "resume", "slow", "fail", "start", "replace"]
Style = Literal["blue-green", "rolling", "canary"]

ACTIONS: Final[tuple[Action, ...]] = (
    "kill", "stop", "pause", "resume", "slow", "fail", "start", "replace",
)  # fmt: skip
_OF_REPLACE: Final = ("with", "style", "weights", "for", "application")
_SAMPLE_ONLY: Final = ("slow", "fail")
_ENDING: Final = ("kill", "stop", "replace")


class Release(Model):
    """What instances of a new version run, where that differs from what the others do."""

    command: Command | None = Field(default=None, description="The program and its arguments.")
    image: ImageReference | None = Field(
        default=None, description="A container image, on an engine that runs images."
    )
    env: dict[EnvironmentName, ProgramText] = Field(
        default={}, description="Environment variables, beside those that the others have."
    )


class Event(Model):
    """Something that happens to instances while the load is measured."""

    at_ns: Duration = Field(description="When, from the beginning of the load on.")
    kill: Whom | None = Field(
        default=None,
        description="End these instances by SIGKILL: one by its name, so many, a share of those there, or "
        "all; of a number, the last ones.",
    )
    stop: Whom | None = Field(default=None, description="End them in order, as `docker stop` does: SIGTERM.")
    pause: Whom | None = Field(default=None, description="Freeze them, as `docker pause` does.")
    resume: Whom | None = Field(default=None, description="Let frozen ones go on.")
    slow_ns: Duration | None = Field(
        default=None, description="Have the sample wait so long before each answer; 0s ends it."
    )
    fail: Percentage | None = Field(
        default=None,
        description="Have the sample answer this share of its requests with status 500; 0% ends it.",
    )
    start: Whom | None = Field(
        default=None, description="Start so many further instances, or this one, which has ended, again."
    )
    replace: Whom | None = Field(
        default=None,
        description="Which instances a new version takes the place of, or beside how many it is.",
    )
    who: Whom | None = Field(default=None, description="Who is slow or fails; one, if left out.")
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

    @field_validator("fail")
    @classmethod
    def _a_share(cls, fail: float | None) -> float | None:
        if fail is not None and not 0 <= fail <= 1:
            raise ValueError(f"{format_percentage(fail)} is out of range; write 0% to 100%")
        return fail

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if len([name for name in ACTIONS if self._written(name) is not None]) != 1:
            raise refuse(
                f"an event is one of {', '.join(ACTIONS)}, as in {{at: 3s, kill: 1}}; write one",
                complete=True,
            )
        if self.who is not None and self.action not in _SAMPLE_ONLY:
            raise refuse(f"who belongs to slow and fail; take it out of {self.action}", complete=True)
        if self.action != "replace":
            for name in _OF_REPLACE:
                if self._written(name) is not None:
                    raise refuse(f"{name} belongs to replace; take it out of {self.action}", complete=True)
            return self
        self._require_replacement()
        return self

    def _require_replacement(self) -> None:
        if self.with_ is None or self.style is None:
            words = "a replacement has a version and a style, as in {with: green, style: rolling}; write both"
            raise refuse(words, complete=True)
        if self.for_ns is not None and self.style != "rolling":
            raise refuse(f"for belongs to style: rolling; take it out of {self.style}", complete=True)
        if self.weights and self.style != "canary":
            raise refuse(f"weights belong to style: canary; take them out of {self.style}", complete=True)
        for name, share in (self.weights or {}).items():
            if name != self.with_:
                words = f"weights: there is nobody of version {name!r}; write {self.with_}"
                raise refuse(words, complete=True)
            if not 0 < share < 1:
                words = f"weights.{name}: {format_percentage(share)} is out of range"
                raise refuse(f"{words}; write more than 0% and less than 100%", complete=True)

    def _written(self, name: str) -> object:
        return getattr(self, {"with": "with_", "slow": "slow_ns", "for": "for_ns"}.get(name, name))

    @property
    def action(self) -> Action:
        """What is done."""
        return next(name for name in ACTIONS if self._written(name) is not None)

    @property
    def whom(self) -> str | int:
        """To whom: a name, how many, a share of those there, or all."""
        if self.action in _SAMPLE_ONLY:
            return 1 if self.who is None else self.who
        whom = getattr(self, self.action)
        assert isinstance(whom, str | int)  # noqa: S101  it is what the action stands for
        return whom


def require_able(scenario: Scenario) -> None:
    """See that a scenario's events can happen, under its load and to its strategy's members.

    Raises
    ------
    PydanticCustomError
        One can't; it is located where it stands in the file.
    """
    if scenario.events and scenario.load.until is not None:
        words = "until: verdict may end the load before anything happens; take it out"
        raise refuse(words, "load.until", "events", complete=True)
    for place, event in enumerate(scenario.events):
        _require_in_time(scenario, place, event)
        _require_sample(scenario, place, event)
        _require_strategy(scenario, place, event)
    try:
        steps = script(scenario.events, scenario.instances())
    except ImpossibleError as error:
        words = f"at {format_duration(scenario.events[error.place].at_ns)}, {error.key}: {error}"
        raise refuse(words, f"events.{error.place}.{error.key}", complete=True) from None
    _require_room(scenario, steps)


def _require_room(scenario: Scenario, steps: Sequence[PlannedFault]) -> None:
    """See that the machine has room for all who ever come, and the strategy for all whom it is told of."""
    engine, strategy = ENGINES.find(scenario.engine), scenario.strategy.made()
    room = HOSTS[scenario.host].most_replicas
    room = min(room, engine.most_replicas or room)
    told = strategy.watched or scenario.membership == "followed"
    all_instances = set(scenario.instances())
    members = set(all_instances)
    for step in steps:
        all_instances.update(step.joined)
        # A replacement changes the members itself, whoever else tells the strategy of them.
        if step.action == "replace" or told:
            members.difference_update(step.members if step.action in _ENDING else ())
            members.update(step.joined)
        if not step.joined:
            continue
        place = next(place for place, event in enumerate(scenario.events) if event is step.event)
        at = f"events.{place}.{step.action}"
        words = f"at {format_duration(step.at_ns)}, {step.action}:"
        if len(all_instances) > room:
            words += f" {len(all_instances)} instances in all are too many; {room} are possible"
            raise refuse(words, at, complete=True)
        if strategy.adopts and len(members) > (most := strategy.most_members or len(members)):
            words += f" {len(members)} instances are too many; {strategy.name} has {most} at most"
            raise refuse(words, at, complete=True, impossible=True)


def _require_in_time(scenario: Scenario, place: int, event: Event) -> None:
    ends_ns = event.at_ns + (event.for_ns or 0)
    if ends_ns >= scenario.load.duration_ns:
        words = f"at {format_duration(ends_ns)} the load is over (load.duration: "
        words += f"{format_duration(scenario.load.duration_ns)})"
        raise refuse(words, f"events.{place}.{'for' if event.for_ns else 'at'}", complete=True)


def _require_sample(scenario: Scenario, place: int, event: Event) -> None:
    app, new = scenario.application, event.application
    images = ENGINES.find(scenario.engine).images
    if event.action in _SAMPLE_ONLY and (app.command or app.image) is not None:
        words = f"{event.action}: only the sample can do that; take it out, or the command or image"
        raise refuse(words, f"events.{place}.{event.action}", complete=True)
    if new is None:
        return
    if new.image is not None and not images:
        words = f"engine {scenario.engine!r} runs commands, no images; write a command, or engine: docker"
        raise refuse(words, f"events.{place}.application.image", complete=True)
    if images and new.command and not (new.image or app.image):
        words = (
            f"engine {scenario.engine!r} runs images; say which image has this command: write image as well"
        )
        raise refuse(words, f"events.{place}.application.command", complete=True)


def _require_strategy(scenario: Scenario, place: int, event: Event) -> None:
    strategy = scenario.strategy.made()
    if event.action in {"start", "replace"} and strategy.policy == "none":
        words = f"{event.action}: {strategy.name} leads to one instance, so nobody can join"
        raise refuse(words, f"events.{place}.{event.action}", complete=True, impossible=True)
    if event.weights and not strategy.weights:
        words = f"weights: {strategy.name} can't give instances different shares; take them out"
        raise refuse(words, f"events.{place}.weights", complete=True, impossible=True)

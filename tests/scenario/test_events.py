"""Events of a scenario: how they are written, what they amount to, and what is refused at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenario.conftest import RIGHT, load, refused

if TYPE_CHECKING:
    from pathlib import Path

    from harness.faults.population import PlannedFault

_FOUR = "strategy: dnat-random\nreplicas: 4\n"


def _steps(folder: Path, *events: str, head: str = _FOUR) -> list[PlannedFault]:
    return load(folder, f"{head}events: [{', '.join(events)}]\n").script()


@pytest.mark.parametrize(
    ("written", "column", "message"),
    [
        ("{at: 11s, stop: 1}", 15, "at 11s the load is over (load.duration: 10s)"),
        ("{at: 9s, replace: 1, with: a, style: rolling, for: 2s}", 61, "at 11s the load is over"),
        (
            "{at: 1s, stop: 1, kill: 1}",
            10,
            "an event is one of fail, kill, pause, replace, resume, slow",
        ),
        ("{at: 1s}", 10, "an event is one of fail, kill, pause, replace, resume, slow, start, stop"),
        ("{at: 1s, stop: 10}", 25, "at 1s, stop: no instance would be left"),
        ("{at: 1s, pause: all}", 26, "at 1s, pause: no instance would be left"),
        ("{at: 1s, kill: 11}", 25, "at 1s, kill: 11 are too many; there are 10 then"),
        ("{at: 1s, kill: 101%}", 25, "at 1s, kill: 101% are more than there are"),
        ("{at: 1s, stop: 9}, {at: 2s, kill: 2}", 44, "at 2s, kill: 2 are too many; there are 1 then"),
        ("{at: 1s, stop: nobody}", 25, "at 1s, stop: there is no nobody then (there are: instance-1, "),
        ("{at: 1s, kill: 0}", 25, "events[0].kill: 0 is too few; write a whole number of at least 1"),
        (
            "{at: 1s, kill: A b}",
            25,
            "events[0].kill: 'A b' names no instance; write how many, an instance's name",
        ),
        ("{at: 1s, resume: 1}", 27, "at 1s, resume: 1 are too many; there are 0 then"),
        ("{at: 1s, start: instance-4}", 26, "at 1s, start: instance-4 is there already"),
        ("{at: 1s, start: green-1}", 26, "at 1s, start: there is no green-1 then (there are: none)"),
        ("{at: 1s, fail: 101%}", 25, "events[0].fail: 101% is out of range; write 0% to 100%"),
        ("{at: 1s, kill: 1, who: instance-1}", 10, "who belongs to fail and slow; take it out of kill"),
        ("{at: 1s, start: 1, style: canary}", 10, "style belongs to replace; take it out of start"),
        ("{at: 1s, replace: all, style: rolling}", 10, "a replacement has a version and a style, as in"),
        ("{at: 1s, replace: all, with: a, style: canry}", 49, "events[0].style: unknown value 'canry'"),
        (
            "{at: 1s, replace: 1, with: a, style: canary, for: 1s}",
            10,
            "for belongs to style: rolling; take it out of canary",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: rolling, weights: {a: 5%}}",
            10,
            "weights belong to style: canary; take them out of rolling",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: canary, weights: {b: 5%}}",
            10,
            "weights: there is no version 'b'; write a",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: canary, weights: {a: 100%}}",
            10,
            "weights.a: 100% is out of range; write more than 0% and less than 100%",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: canary, weights: {a: 0.01%}}",
            64,
            "at 1s, weights: weights up to 256 can't give 0.01% to 1 beside 10; write another share",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: canary}, {at: 1s, replace: 1, with: b, style: rolling}",
            74,
            "at 1s, replace: the replacement before it, at 1s, goes on until then",
        ),
        (
            (
                "{at: 1s, replace: 2, with: a, style: rolling, for: 3s}, "
                "{at: 3s, replace: 1, with: b, style: rolling}"
            ),
            84,
            "at 3s, replace: the replacement before it, at 1s, goes on until then",
        ),
        (
            "{at: 1s, replace: 1, with: a, style: rolling, application: {image: x}}",
            77,
            "engine 'process' runs commands, no images",
        ),
        ("{at: 1s, kil: 1}", 19, "unknown key 'events[0].kil', did you mean 'events[0].kill'?"),
    ],
)
def test_an_event_that_can_not_be_is_refused_at_its_place(
    folder: Path, written: str, column: int, message: str
) -> None:
    """One line each, which says what to write."""
    told = refused(folder, f"{RIGHT}events: [{written}]\n")
    assert told.startswith(f"x.yaml:3:{column}: {message}"), told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("head", "written", "message"),
    [
        (
            "strategy: publish\nreplicas: 1\n",
            "start: 1",
            "3:26: start: publish leads to one instance, so none can",
        ),
        (
            "strategy: direct\nreplicas: 1\n",
            "replace: all, with: a, style: rolling",
            "3:28: replace: direct leads to one instance, so none can join",
        ),
        (
            "strategy: so-reuseport-host\nreplicas: 2\n",
            "replace: 1, with: a, style: canary, weights: {a: 10%}",
            "3:64: weights: so-reuseport-host can't give instances different shares; take them out",
        ),
        (
            "strategy: dnat-random\nreplicas: 2\napplication: {command: a}\n",
            "slow: 5ms",
            "4:25: slow: only the sample can do that; take it out, or the command or image",
        ),
        (
            "strategy: dnat-random\nreplicas: 999\nengine: docker\n",
            "start: 2",
            "4:26: at 1s, start: 1001 instances in all are too many; 1000 are possible",
        ),
        (
            "strategy: dnat-random\nreplicas: 2\nengine: docker\n",
            "replace: 1, with: a, style: rolling, application: {command: b}",
            "4:79: engine 'docker' runs images; say which image has this command: write image",
        ),
    ],
)
def test_events_beyond_strategy_or_engine_are_refused(
    folder: Path, head: str, written: str, message: str
) -> None:
    """Before anything is provisioned."""
    told = refused(folder, f"{head}events: [{{at: 1s, {written}}}]\n")
    assert told.startswith(f"x.yaml:{message}"), told


_FULL = "strategy: haproxy\nreplicas: 4095\nmembership: {membership}\n"


@pytest.mark.parametrize(
    ("membership", "events", "message"),
    [
        ("followed", "[{at: 1s, start: 1}]", "4:26: at 1s, start: 4096 instances are too many; haproxy has"),
        ("followed", "[{at: 2s, start: 2}, {at: 1s, kill: 1}]", "4:26: at 2s, start: 4096 instances are too"),
        (
            "static",
            "[{at: 1s, kill: 1}, {at: 2s, replace: 1, with: a, style: canary}]",
            "4:47: at 2s, replace: 4096 instances are too many; haproxy has 4095 at most",
        ),
    ],
)
def test_newcomers_that_a_strategy_has_no_room_for_are_refused(
    folder: Path, membership: str, events: str, message: str
) -> None:
    """Where they come; whoever has ended makes room only where the strategy is told of it."""
    told = refused(folder, f"{_FULL.format(membership=membership)}events: {events}\n")
    assert told.startswith(f"x.yaml:{message}"), told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("membership", "events"),
    [
        ("static", "[{at: 1s, start: 1}]"),
        ("followed", "[{at: 1s, kill: 1}, {at: 2s, start: 1}]"),
        ("followed", "[{at: 1s, replace: all, with: a, style: blue-green}]"),
        ("static", "[{at: 1s, replace: 2, with: a, style: rolling, for: 1s}]"),
    ],
)
def test_newcomers_in_the_place_of_others_need_no_more_room(
    folder: Path, membership: str, events: str
) -> None:
    """Nor do those that a strategy is never told of."""
    assert load(folder, f"{_FULL.format(membership=membership)}events: {events}\n").events


def test_events_and_an_early_verdict_exclude_each_other(folder: Path) -> None:
    """The load might end before anything happens."""
    text = f"{RIGHT}load: {{until: verdict}}\nevents: [{{at: 1s, stop: 1}}]\n"
    assert "until: verdict may end the load before anything happens; take it out" in refused(folder, text)


def test_numbers_and_shares_mean_the_last_that_are_left(folder: Path) -> None:
    """Later events see what earlier ones have left; a share is of those."""
    steps = _steps(
        folder,
        "{at: 1s, stop: 1}",
        "{at: 2s, kill: instance-1}",
        "{at: 3s, pause: 50%}",
        "{at: 4s, resume: all}",
    )
    assert [step.members for step in steps] == [
        ("instance-4",),
        ("instance-1",),
        ("instance-3",),
        ("instance-3",),
    ]
    assert [step.label for step in steps][2:] == ["pause instance-3", "resume instance-3"]
    assert steps[1].shares == {"instance-1": 0, "instance-2": 0.5, "instance-3": 0.5, "instance-4": 0}
    assert steps[2].shares == {"instance-1": 0, "instance-2": 1, "instance-3": 0, "instance-4": 0}


def test_events_are_taken_in_the_order_of_time(folder: Path) -> None:
    """However they are written."""
    steps = _steps(folder, "{at: 3s, kill: instance-1}", "{at: 1s, stop: 1}")
    assert [step.action for step in steps] == ["stop", "kill"]


def test_started_instance_has_the_next_name_or_the_named_ended_one(folder: Path) -> None:
    """Numbers are never given twice, so a name is one instance, or the same one again."""
    text = _FOUR + "events: [{at: 1s, kill: 2}, {at: 2s, start: 2}, {at: 3s, start: instance-4}]\n"
    scenario = load(folder, text)
    assert [step.joined for step in scenario.script()] == [(), ("instance-5", "instance-6"), ("instance-4",)]
    assert scenario.all_instances() == tuple(f"instance-{k}" for k in range(1, 7))


def test_a_name_that_the_scenario_has_taken_is_not_given_to_others(folder: Path) -> None:
    """Weights may have named an instance as newcomers are named."""
    (step,) = _steps(
        folder, "{at: 1s, start: 1}", head="strategy: dnat-random\nweights: {instance-3: 1, b: 1}\n"
    )
    assert step.joined == ("instance-4",)


def test_blue_green_is_one_step_for_all(folder: Path) -> None:
    """Each new one has the weight of the one whose place it takes."""
    (step,) = _steps(
        folder,
        "{at: 1s, replace: all, with: green, style: blue-green}",
        head="strategy: dnat-random\nweights: {a: 3, b: 1}\n",
    )
    assert (step.members, step.joined) == (("a", "b"), ("green-1", "green-2"))
    assert step.shares == {"a": 0, "b": 0, "green-1": 0.75, "green-2": 0.25}
    assert step.label == "blue-green to green"


def test_a_rolling_replacement_is_a_step_for_each_over_the_time_that_it_may_take(folder: Path) -> None:
    """Whoever has been ended meanwhile is replaced all the same."""
    steps = _steps(
        folder,
        "{at: 1s, replace: all, with: green, style: rolling, for: 2s}",
        "{at: 1200ms, kill: instance-4}",
    )
    assert [(step.at_ns // 10**6, step.members, step.joined) for step in steps] == [
        (1000, ("instance-1",), ("green-1",)),
        (1200, ("instance-4",), ()),
        (1500, ("instance-2",), ("green-2",)),
        (2000, ("instance-3",), ("green-3",)),
        (2500, (), ("green-4",)),
    ]
    assert steps[2].label == "rolling to green (2 of 4)"
    assert {name for name, share in steps[-1].shares.items() if share} == {f"green-{k}" for k in range(1, 5)}


def test_all_are_those_of_other_versions(folder: Path) -> None:
    """So a canary can be followed by the replacement of the rest."""
    steps = _steps(
        folder,
        "{at: 1s, replace: 1, with: green, style: canary}",
        "{at: 2s, replace: all, with: green, style: blue-green, application: {env: {A: b}}}",
    )
    canary, rest = steps
    assert (canary.members, canary.joined) == ((), ("green-1",))
    assert canary.shares["green-1"] == 0.2
    assert rest.members == tuple(f"instance-{k}" for k in range(1, 5))
    assert rest.joined == tuple(f"green-{k}" for k in range(2, 6))
    assert rest.source is not None
    assert rest.source.application is not None
    assert rest.source.application.env == {"A": "b"}


@pytest.mark.parametrize("share", [1, 5, 10, 30, 50, 90])
@pytest.mark.parametrize("number", [1, 2])
def test_a_canary_gets_the_share_that_is_written(folder: Path, share: int, number: int) -> None:
    """As near as whole weights come, which are as small as may be; the others keep their proportions."""
    (step,) = _steps(
        folder,
        f"{{at: 1s, replace: {number}, with: green, style: canary, weights: {{green: {share}%}}}}",
        head="strategy: dnat-random\nweights: {a: 2, b: 1}\n",
    )
    got = sum(part for name, part in step.shares.items() if name.startswith("green"))
    assert got == pytest.approx(share / 100, rel=0.005)
    assert step.shares["a"] == pytest.approx(2 * step.shares["b"])
    assert max(step.weights.values()) <= 256


def test_events_are_written_as_they_were_read(folder: Path) -> None:
    """As the stored scenario has them, for whoever runs it again."""
    written = (
        "[{at: 1s, slow: 50ms, who: 50%}, {at: 2s, fail: 10%}, {at: 3s, replace: all, with: green, "
        "style: canary, weights: {green: 10%}, application: {env: {A: b}}}]"
    )
    scenario = load(folder, f"{_FOUR}events: {written}\n")
    assert scenario.as_written()["events"] == [
        {"at": "1s", "slow": "50ms", "who": "50%"},
        {"at": "2s", "fail": "10%"},
        {
            "at": "3s",
            "replace": "all",
            "with": "green",
            "style": "canary",
            "weights": {"green": "10%"},
            "application": {"env": {"A": "b"}},
        },
    ]
    assert [step.members for step in scenario.script()][:2] == [("instance-3", "instance-4"), ("instance-4",)]

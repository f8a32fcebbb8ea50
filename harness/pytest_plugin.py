"""Scenario files as tests: ``pytest --harness scenarios/``; and the fixture ``harness_run``.

docs/ci.md explains both. Every pytest session of an environment with the harness loads this module, so
it imports what it needs when it is needed, and does nothing where neither is used.
"""

from __future__ import annotations

import fcntl
import io
import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from harness.runner.run import Outcome
    from harness.scenario import Scenario
    from harness.suite.file import NotPossible, Planned
    from harness.summary.run import Summary

_XDIST_GROUP = "harness"
"""All runs are one group, which xdist gives to one worker with ``--dist loadgroup``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("harness", "scenarios as tests (sameport)")
    group.addoption(
        "--harness",
        action="append",
        default=[],
        dest="harness_paths",
        metavar="PATH",
        help="Run the scenarios of this file, suite file or folder as tests. May be repeated. Without other "
        "test paths, only scenarios run.",
    )
    group.addoption(
        "--harness-results",
        dest="harness_results",
        metavar="DIR",
        help="The folder for the result folders; by default one of pytest's temporary folders.",
    )
    group.addoption(
        "--harness-set",
        action="append",
        default=[],
        dest="harness_overrides",
        metavar="KEY=VALUE",
        help="Override a key in all scenarios, as in load.duration=5s. May be repeated.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and collect scenarios if there are some."""
    config.addinivalue_line("markers", "harness: runs a scenario (--harness, or the fixture harness_run)")
    config.addinivalue_line(
        "markers",
        "harness_scenario(strategy, unit, replicas): what a scenario says, "
        "as in -m \"harness_scenario(unit='request')\"",
    )
    if paths := config.getoption("harness_paths"):
        config.pluginmanager.register(_Scenarios(config, paths), "harness-scenarios")


@pytest.hookimpl(tryfirst=True)  # xdist reads its mark in this hook, too
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that run scenarios by the fixture."""
    for item in items:
        if "harness_run" in getattr(item, "fixturenames", ()):
            _mark(item, config)


def _mark(item: pytest.Item, config: pytest.Config) -> None:
    item.add_marker(pytest.mark.harness)
    if config.pluginmanager.hasplugin("xdist"):
        item.add_marker(pytest.mark.xdist_group(_XDIST_GROUP))


@pytest.fixture(scope="session")
def harness_run(
    pytestconfig: pytest.Config,
) -> Callable[[str | os.PathLike[str], Mapping[str, Any] | None], Summary]:
    """Run a scenario and give its summary, whatever its verdict.

    The arguments are the scenario's file, as seen from pytest's root folder, and a mapping of keys, with
    dots where they are nested, to values that replace what the file (or ``--harness-set``) says. What goes
    wrong is a ``harness.errors.HarnessError``.
    """

    def run(scenario: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> Summary:
        from harness.scenario import load_scenario  # noqa: PLC0415  on first use

        written = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]
        loaded = load_scenario(
            pytestconfig.rootpath / scenario, [*pytestconfig.getoption("harness_overrides"), *written]
        )
        return _measured(pytestconfig, loaded).summary

    return run


class _Scenarios:
    """Has the files of ``--harness`` collected.

    Files that are named as tests are, too, so that a test of a report can be asked for by its name, are
    all that is collected of them.
    """

    def __init__(self, config: pytest.Config, paths: list[str]) -> None:
        start = config.invocation_params.dir
        self._files = {file: None for path in paths for file in _files(start / path, path)}
        named = [arg for arg in config.args if (start / arg.split("::", 1)[0]).resolve() in self._files]
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []
        if not named:
            config.args += map(str, self._files)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
        """Take the files that are scenarios."""
        if file_path not in self._files:
            return None
        collector: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
        return collector


def _files(path: Path, given: str) -> list[Path]:
    if not path.exists():
        raise pytest.UsageError(f"--harness {given}: no such file or folder")
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise pytest.UsageError(
            f"--harness {given}: no scenario is here: no file of this folder ends in .yaml"
        )
    return [file.resolve() for file in files]


class ScenarioFile(pytest.File):
    """A scenario file, or a suite file with several."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Give a test for each repetition of each scenario."""
        from harness.errors import ScenarioError  # noqa: PLC0415  as above
        from harness.suite.file import NotPossible, read_suite  # noqa: PLC0415  as above

        here = self.config.invocation_params.dir
        shown = self.path.relative_to(here) if Path.cwd() == here and here in self.path.parents else self.path
        try:
            suite = read_suite([shown], self.config.getoption("harness_overrides"))
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        for one in suite.scenarios:
            repeat = 1 if isinstance(one, NotPossible) else one.repeat
            for index in range(repeat):
                name = f"{one.name}[{index + 1}]" if repeat > 1 else one.name
                item: ScenarioItem = ScenarioItem.from_parent(
                    self, name=name, planned=one, repeat_index=index
                )
                yield item


class ScenarioItem(pytest.Item):
    """One run of a scenario, which fails where its verdict is not the expected one."""

    def __init__(self, *, planned: Planned | NotPossible, repeat_index: int, **of_node: Any) -> None:
        super().__init__(**of_node)
        self._planned = planned
        self._repeat_index = repeat_index
        _mark(self, self.config)
        said = _said(planned)
        self.extra_keyword_matches.update(text for text in said.values() if isinstance(text, str))
        self.add_marker(pytest.mark.harness_scenario(**said))

    def runtest(self) -> None:
        """Run it."""
        from harness.errors import KernelLacksError, RefusedError  # noqa: PLC0415  as above
        from harness.suite.file import NotPossible  # noqa: PLC0415  as above

        planned = self._planned
        if isinstance(planned, NotPossible):
            pytest.skip(f"{planned.name} is not possible: {planned.reason}")
        try:
            outcome = _measured(self.config, planned.scenario, self._repeat_index)
        except KernelLacksError as error:
            pytest.skip(f"{planned.name}: {error}")
        except RefusedError as error:
            if planned.scenario.expect == "refused":
                return
            if planned.of_matrix:
                pytest.skip(f"{planned.name} is not possible: {error}")
            raise
        summary = outcome.summary
        self.user_properties += [("verdict", summary.verdict), ("result", str(outcome.folder))]
        if summary.recovers is not None:
            self.user_properties.append(("recovers", summary.recovers.passed))
        if not summary.passed:
            raise NotAsExpectedError(outcome)
        self.add_report_section("call", "harness", _table(outcome))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """Tell what users can mend in its own words, without a traceback."""
        from harness.errors import HarnessError  # noqa: PLC0415  as above

        if not isinstance(excinfo.value, HarnessError | NotAsExpectedError):
            return super().repr_failure(excinfo, *args, **kwargs)
        told = excinfo.getrepr(style="value", chain=False)
        if told.reprcrash is not None:  # the line of pytest's own summary, and JUnit's message
            told.reprcrash.message = str(excinfo.value).split("\n", 1)[0]
        return told

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it is from."""
        return self.path, None, self.name


class NotAsExpectedError(Exception):
    """A verdict that the scenario does not expect: one line, and the run's table."""

    def __init__(self, outcome: Outcome) -> None:
        from harness.common.text import printable  # noqa: PLC0415  as above
        from harness.report.terminal import verdict_line  # noqa: PLC0415  as above

        summary = outcome.summary
        missed = ""
        if summary.recovers is not None and summary.recovers.passed != "yes":
            missed = f"; recovers: {summary.recovers.passed} ({printable(summary.recovers.reason)})"
        lines = [f"{verdict_line(summary)}; expected: {summary.expect}{missed}", _table(outcome)]
        if summary.tests.tolerance.more_units is not None:
            lines.append(_what_would_help(summary))
        super().__init__("\n".join(lines))


def _said(planned: Planned | NotPossible) -> dict[str, str | int]:
    from harness.suite.file import NotPossible  # noqa: PLC0415  as above

    if isinstance(planned, NotPossible):
        return {"strategy": planned.strategy}
    scenario = planned.scenario
    strategy = scenario.strategy
    return {"strategy": strategy.name, "unit": strategy.can.unit, "replicas": scenario.replicas}


def _measured(config: pytest.Config, scenario: Scenario, repeat_index: int = 0) -> Outcome:
    from harness.report.progress import Progress  # noqa: PLC0415  as above
    from harness.runner.run import run  # noqa: PLC0415  as above

    with _alone(config):
        progress = Progress(fleeting=True)
        try:
            outcome = run(scenario, _results(config), progress, repeat_index)
        finally:
            progress.close()
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome


@contextmanager
def _alone(config: pytest.Config) -> Iterator[None]:
    """Wait until no other worker of xdist is at a run: two at once would disturb each other."""
    if not hasattr(config, "workerinput"):
        yield
        return
    with (_temporary(config).parent / "harness.lock").open("w") as lock:  # workers' folders are side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _results(config: pytest.Config) -> Path:
    if given := config.getoption("harness_results"):
        return config.invocation_params.dir / str(given)
    return _temporary(config) / "harness"


def _temporary(config: pytest.Config) -> Path:
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001  pytest hands it out to fixtures only
    return factory.getbasetemp()


def _table(outcome: Outcome) -> str:
    from rich.console import Console  # noqa: PLC0415  as above

    from harness.report.terminal import render_summary  # noqa: PLC0415  as above

    file = io.StringIO()
    console = Console(file=file, width=shutil.get_terminal_size().columns, color_system=None)
    render_summary(outcome.summary, outcome.folder, console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _what_would_help(summary: Summary) -> str:
    tolerance = summary.tests.tolerance
    if tolerance.most_units is not None:
        return f"what would help: {summary.reason.rpartition(': ')[2]}"
    how = f", by another load.{summary.unit}s"  # those of a longer load would be the same
    if tolerance.more_seconds:
        how = f" ({tolerance.more_seconds:,.3g} s at the measured rate), by a longer load.duration"
    return f"what would help: {tolerance.more_units:,} more {summary.unit}s{how}; or a wider tolerance"

"""Parts that many tests stand on: a real host, programs on its client side, an ordinary user."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click import ClickException
from click.testing import CliRunner
from hypothesis import settings

from harness.cli.app import cli
from harness.common.channel import ChannelClosedError
from harness.errors import HarnessError
from harness.hosts.netns import NetnsHost
from tests.levels import TESTS, Guard, level_of, mark_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from harness.hosts.base import Program

    Harness = Callable[..., Result]

# How long an example takes is the machine's affair, and nothing that a test pins.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_GUARD = Guard()


_SEED = "SAMEPORT_TEST_SEED"


_OWN_TEMPORARY = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)  # before pytest's own, which reads where its folder is to be
def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the sabotage test try more moments than in CI."""
    parser.addoption("--moments", type=int, default=None, metavar="N", help="moments of sabotage to try")


def pytest_configure(config: pytest.Config) -> None:
    """Choose what this session's chance begins with, and a folder that other users may enter.

    The seed is another one each day, for all of the session's processes. The folder that pytest would take is
    closed to other users again whenever the same user starts another session.
    """
    os.environ.setdefault(_SEED, str(datetime.now(UTC).date().toordinal()))
    if config.option.basetemp is None:
        folder = Path(tempfile.mkdtemp(prefix="sameport-tests-"))
        folder.chmod(0o755)
        config.stash[_OWN_TEMPORARY] = folder
        config.option.basetemp = str(folder / "session")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove the session's folder, where it may not be needed to find out what failed."""
    folder = session.config.stash.get(_OWN_TEMPORARY, None)
    if folder is not None and exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header() -> str:
    """Say how the moments of this session can be had again."""
    return f"moments at which tests kill: {_SEED}={os.environ[_SEED]}"


@pytest.fixture
def seed() -> int:
    """Give what a test's chance begins with; the head of pytest's report says it."""
    return int(os.environ[_SEED])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its level, before tests are chosen by it."""
    mark_levels(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep unit tests from starting hosts."""
    _GUARD.level = level_of(item) if item.path.is_relative_to(TESTS) else ""
    try:
        return (yield)
    finally:
        _GUARD.level = ""


_PREAMBLE = """
import socket, sys
from harness.common.channel import Channel
channel = Channel.inherited(int(sys.argv[-1]))
"""


@pytest.fixture
def harness() -> Harness:
    """Run a command of the harness in this process; its result has the exit status that a shell would see."""

    def run(*arguments: object, **kwargs: Any) -> Result:
        words = [str(argument) for argument in arguments]
        result = CliRunner().invoke(cli, words, standalone_mode=False, **kwargs)
        if isinstance(result.exception, (ClickException, HarnessError)):
            result.exit_code = 2
        elif result.exception is None:
            result.exit_code = result.return_value or 0
        return result

    return run


@pytest.fixture
def host() -> Iterator[NetnsHost]:
    """Give a host with its links, whose clients are elsewhere."""
    with NetnsHost("external") as made:
        made.start()
        made.link()
        yield made


@pytest.fixture
def client_program(host: NetnsHost) -> Callable[[str], Program]:
    """Give a way to start Python where clients are; it speaks over ``channel``."""
    return lambda code: host.spawn([sys.executable, "-c", _PREAMBLE + code], "client", "generator")


@pytest.fixture
def host_program(host: NetnsHost) -> Callable[[str], Program]:
    """Give a way to start Python on the host itself; it speaks over ``channel``."""
    return lambda code: host.spawn([sys.executable, "-c", _PREAMBLE + code], "host", "instances")


@pytest.fixture
def on_client_side(client_program: Callable[[str], Program]) -> Callable[[str], Any]:
    """Give a way to run Python where clients are; what it sends as ``answer`` comes back."""

    def run(code: str) -> Any:
        program = client_program(code)
        try:
            return program.channel.receive(60)["answer"]
        except ChannelClosedError:
            pytest.fail(program.stderr_tail())

    return run


# In a mount namespace of its own, the checkout's way is rebuilt of folders that anybody may enter.
_LAY_OPEN = """
private=$1; checkout=$2; shift 2
mount --bind "$checkout" /mnt
mount -t tmpfs -o mode=755 tmpfs "$private"
mkdir -p "$checkout"
mount --move /mnt "$checkout"
exec "$@"
"""


@pytest.fixture(scope="session")
def ordinary_user() -> tuple[str, ...]:
    """Give what to put before a command to run it as an ordinary user: nothing, if this is one.

    Root becomes nobody, who may not enter every folder that a checkout can lie in.
    """
    if os.geteuid():
        return ()
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    checkout = Path(__file__).parents[1]
    private = [folder for folder in reversed(checkout.parents) if not folder.stat().st_mode & 0o001]
    if not private:
        return nobody
    return ("unshare", "--mount", "sh", "-ec", _LAY_OPEN, "sh", str(private[0]), str(checkout), *nobody)


@pytest.fixture
def public_tmp_path(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the test's folder with a way to it for other users, who can't enter pytest's own folders."""
    base = tmp_path_factory.getbasetemp()
    worker = [base.parent] if base.name.startswith("popen-") else []  # of xdist
    for folder in (tmp_path, base, *worker):
        folder.chmod(0o755)
    return tmp_path

"""A protocol is one file of the engine: one more is added, built, and driven against a server of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]

LOAD: Final = """
import json, socket, tempfile, threading, time
from harness.load._wire import Engine
from harness.recording.layout import ERRORS, as_array

said, lock = [], threading.Lock()

def serve(sock):
    lines = sock.makefile("rw", newline="\\n")
    heard = [lines.readline()]
    for line in lines:
        heard.append(line)
        if line == "pong\\n":
            continue
        stream = int(line.split()[0])
        # A ping before the answer, in pieces; the third answer on a connection says that it is the last.
        for piece in ("pi", "ng\\n", f"{stream} {9 if stream == 3 else 7} me\\n"):
            lines.write(piece)
            lines.flush()
    with lock:
        said.append(heard)

def accept():
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
with tempfile.TemporaryFile() as file:
    engine = Engine(
        listener.getsockname(), [b"ask", b"tell"], file.fileno(), 2, 5 * 10**9,
        requests=12, header=b"name", turns=bytes((0, 1)), codec="lines",
    )
    engine.set_users(2)
    engine.start(time.monotonic_ns(), time.monotonic_ns() + 20 * 10**9)
    engine.join()
    file.seek(0)
    records = as_array(file.read())
deadline = time.monotonic() + 10
while len(said) < len(set(records["connection"].tolist())) and time.monotonic() < deadline:
    time.sleep(0.01)
columns = [records[name].tolist() for name in ("connection", "stream", "protocol_status")]
print(json.dumps({
    "errors": sorted({ERRORS[error] for error in records["error"].tolist()}),
    "names": [name.decode() for name in engine.identities()],
    "exchanges": sorted(zip(*columns)),
    "heard": said,
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build a copy of the package with one more codec: a file, and its name in the table."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(
        ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "setup.py"):
        shutil.copy(ROOT / name, folder)
    wire = folder / "harness/load/wire"
    shutil.copy(Path(__file__).with_name("lines.c"), wire / "codecs")
    table = wire / "protocols.c"
    source = table.read_text()
    assert source.count("extern const struct codec_ops http1;") == source.count("= {&http1}") == 1
    source = source.replace("codec_ops http1;", "codec_ops http1, lines;").replace(
        "{&http1}", "{&http1, &lines}"
    )
    table.write_text(source)
    flags = os.environ | {"CFLAGS": "-Werror -Wconversion -Wshadow"}
    done = run(folder, "setup.py", "-q", "build_ext", "--inplace", env=flags)
    assert list((folder / "harness/load").glob("_wire.*.so")), done.stdout
    yield folder
    shutil.rmtree(folder)


def run(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, whose package comes before the installed one."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def test_codec_is_one_file_and_its_name(built: Path) -> None:
    """A greeting, numbered requests, replies to pings, a last answer: records say stream and status."""
    done = run(built, "-c", LOAD)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert (found["errors"], found["names"]) == (["none"], ["me"])
    flows: dict[int, list[list[int]]] = {}
    for connection, *rest in found["exchanges"]:
        flows.setdefault(connection, []).append(rest)
    assert sum(map(len, flows.values())) == 12
    # The third answer ends a flow; each of the two users may have had fewer on its last.
    assert all(ends == [[1, 7], [2, 7], [3, 9]][: len(ends)] for ends in flows.values())
    assert sum(len(ends) < 3 for ends in flows.values()) <= 2
    assert len(found["heard"]) == len(flows)
    for heard in found["heard"]:
        asked = [line for line in heard if line[0].isdigit()]
        assert heard[0] == "hello\n"
        assert [int(line.split()[0]) for line in asked] == list(range(1, len(asked) + 1))
        assert heard.count("pong\n") == len(asked)
    texts = sorted(line.split()[1] for heard in found["heard"] for line in heard if line[0].isdigit())
    assert texts == ["ask"] * 6 + ["tell"] * 6

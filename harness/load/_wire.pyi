# What harness/load/wire/module.c gives to Python.

from collections.abc import Callable, Sequence
from typing import Any, Self

RECORD_BYTES: int

class Engine:
    def __new__(
        cls,
        endpoint: tuple[str, int],
        texts: Sequence[bytes],
        records: int,
        connections: int,
        timeout_ns: int,
        *,
        requests_per_connection: int = 0,
        requests: int = -1,
        reset: bool = False,
        header: bytes | None = None,
        find: Callable[[bytes], bytes | None] | None = None,
        sources: Sequence[str] = (),
        stages: Sequence[tuple[float, int]] = (),
        poisson: bool = False,
        seed: int = 0,
        turns: bytes = b"\0",
        transport: str = "tcp",
        codec: str = "http1",
        think_ns: int = 0,
        once: bool = False,
    ) -> Self: ...
    def start(self, start_ns: int, end_ns: int) -> None: ...
    def set_users(self, users: int) -> None: ...
    def stop(self) -> None: ...
    def join(self) -> None: ...
    def counters(self) -> dict[str, Any]: ...
    def identities(self, first: int = 0) -> list[bytes]: ...
    def odd_answer(self) -> bytes: ...
    def failure(self) -> int: ...
    def done_fd(self) -> int: ...

def read_answer(
    pieces: list[bytes],
    header: bytes | None,
    body: bool,
    codec: str = "http1",
) -> tuple[str, int, bytes, int, bool, bytes, int]: ...

"""The channel between a master and its workers: Locust's, with a seal on every message.

Locust's master takes a message from any process that connects. Here, both ends know a secret of the run,
and a message begins with its code: HMAC-SHA256 (RFC 2104) of the direction, the worker's name, a number that
grows, and the content. What has no valid code is dropped before anything of it is read, and so is what has
been seen before: each side takes growing numbers only. The content is not encrypted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import gevent
import zmq
from locust import runners
from locust.exception import RPCError, RPCReceiveError, RPCSendError
from locust.rpc import Message
from locust.rpc.zmqrpc import Client, Server
from locust.util.exception_handler import retry

from harness.load.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Callable

    Dropped = Callable[[str], None]

_LARGEST: Final = 256 << 20  # bytes; what is larger is not even read
_MOST_REFUSALS: Final = 100
_MOST_STRANGERS: Final = 100
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = frozenset({"0.0.0.0", "*", "::", "[::]"})  # noqa: S104  compared with
_REFUSED: Final = b"refused"


class SecuredServer(Server):  # type: ignore[misc]  # Locust carries no types
    """Locust's end of the channel on the master.

    Parameters
    ----------
    host, port
        Where to listen. The run's own workers reach it at 127.0.0.1 as well.
    seal
        Of this side.
    dropped
        Told the address that a message without a valid seal came from.
    """

    def __init__(self, host: str, port: int, seal: Seal, dropped: Dropped) -> None:
        self._seal = seal
        self._dropped = dropped
        self._refusals = 0
        super().__init__(host, port)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        if host not in {_LOOPBACK, *_EVERYWHERE}:
            try:
                self.socket.bind(f"tcp://{_LOOPBACK}:{self.port}")
            except zmq.ZMQError as error:
                raise RPCError(f"Socket bind failure: {error}") from error

    @retry()  # type: ignore[untyped-decorator]  # as above
    def send_to_client(self, msg: Message) -> None:
        """Send a worker a message, sealed."""
        sealed = self._seal.close(msg.node_id, msg.serialize())
        try:
            self.socket.send_multipart([msg.node_id.encode(), sealed])
        except zmq.ZMQError as error:
            raise RPCSendError("ZMQ sent failure") from error

    def recv_from_client(self) -> tuple[str, Any]:
        """Wait for the next message that has a valid seal."""
        while True:
            try:
                frames = self.socket.recv_multipart(copy=False)
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            content, name = None, frames[0].bytes.decode(errors="replace")
            if len(frames) == 2:
                content = self._seal.open(name, frames[1].bytes)
            message = None if content is None else _read(content)
            if message is not None and message.node_id == name:
                return name, message
            self._refuse(frames[0].bytes, frames[-1])
            gevent.sleep(0)  # a stranger that never pauses must not keep the others waiting

    def _refuse(self, connection: bytes, frame: Any) -> None:
        """Drop a message, and tell its sender, who may have mistyped the secret."""
        try:
            address = str(frame.get("Peer-Address"))
        except zmq.ZMQError:
            address = "an unknown address"
        self._dropped(address)
        if self._refusals < _MOST_REFUSALS:
            self._refusals += 1
            try:
                self.socket.send_multipart([connection, _REFUSED], zmq.NOBLOCK)
            except zmq.ZMQError:
                return  # it has gone


class SecuredClient(Client):  # type: ignore[misc]  # as above
    """Locust's end of the channel on a worker.

    Attributes
    ----------
    refused
        Whether the other end said, before any sealed message, that it does not know the secret.
    """

    def __init__(self, host: str, port: int, identity: str, seal: Seal) -> None:
        self._seal = seal
        self._name = identity
        self._trusted = False
        self.refused = False
        super().__init__(host, port, identity)

    @retry()  # type: ignore[untyped-decorator]  # as above
    def send(self, msg: Message) -> None:
        """Send the master a message, sealed."""
        try:
            self.socket.send(self._seal.close(self._name, msg.serialize()), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise RPCSendError("ZMQ sent failure") from error

    def recv(self) -> Any:
        """Wait for the master's next message; what is not sealed is not read."""
        while True:
            try:
                sealed = self.socket.recv()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            content = self._seal.open(self._name, sealed)
            if content is not None:
                self._trusted = True
                if (message := _read(content)) is not None:
                    return message
                raise RPCReceiveError("ZMQ interrupted message")
            if sealed == _REFUSED and not self._trusted:
                self.refused = True
                return Message("ack", {"index": -1}, self._name)  # ends the wait for the real one


def _read(content: bytes) -> Any:
    try:
        return Message.unserialize(content)
    except Exception:  # noqa: BLE001  msgpack raises whatever a broken message leads to
        return None


def secure_master(secret: str) -> dict[str, int]:
    """Have the masters that Locust makes in this process from now on seal their messages.

    Returns
    -------
    dict of str to int
        How many messages without a valid seal came from each address; more as they come.
    """
    seal = Seal(secret, "to worker", "to master")
    strangers: dict[str, int] = {}

    def dropped(address: str) -> None:
        if address in strangers or len(strangers) < _MOST_STRANGERS:
            strangers[address] = strangers.get(address, 0) + 1

    runners.rpc = SimpleNamespace(Server=lambda host, port: SecuredServer(host, port, seal, dropped))
    return strangers


def secure_worker(secret: str) -> None:
    """Have the workers that Locust makes in this process from now on seal their messages."""
    seal = Seal(secret, "to master", "to worker")
    runners.rpc = SimpleNamespace(
        Client=lambda host, port, identity: SecuredClient(host, port, identity, seal)
    )

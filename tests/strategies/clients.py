"""Clients of a proxy, in the client side's namespace: `python clients.py FD`, the channel to the test.

Each request names what is to be done; the methods `do_…` of `Clients` say what it holds and gives.
"""

from __future__ import annotations

import sys
import threading
import time
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, NoReturn

from harness.common.channel import Channel, ChannelClosedError

_ENDPOINT = ("198.18.37.99", 80)
_PATIENCE_S = 10
_MOST_S = 60  # a load ends by itself after this
_CLOSED_BETWEEN = (RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Client:
    """Asks on one kept connection, and opens another only when the server has closed it."""

    def __init__(self, source: str = "", path: str = "/", host: str = "") -> None:
        address, port = _ENDPOINT
        self._path, self._headers = path, {"Host": host} if host else {}
        self._http = HTTPConnection(
            address, port, timeout=_PATIENCE_S, source_address=(source, 0) if source else None
        )
        self.opened = 0

    def ask(self) -> str:
        """Give the name of who answers.

        A server may close a connection between two requests, and a client can't see that in time: it asks
        again on a new one, once (RFC 9110, section 9.2.2).
        """
        kept = self._http.sock is not None
        try:
            return self._ask_once()
        except _CLOSED_BETWEEN:
            self.close()
            if not kept:
                raise
            return self._ask_once()

    def _ask_once(self) -> str:
        self.opened += self._http.sock is None
        self._http.request("GET", self._path, headers=self._headers)
        answer = self._http.getresponse()
        said = answer.read().decode().strip()
        if answer.status != 200:
            raise ConnectionError(f"status {answer.status}: {said}")
        return said.removeprefix("Hello from ")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


class Load(threading.Thread):
    """A user that asks without a pause, and notes who answered, and whether it asked after the mark."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(daemon=True)
        self._clients = clients
        self._client = Client()
        self.answers: list[tuple[bool, str]] = []
        self.error = ""

    def run(self) -> None:
        """Ask until told to stop."""
        end_s = time.monotonic() + _MOST_S
        try:
            while not self._clients.stopping and time.monotonic() < end_s:
                marked = self._clients.marked
                self.answers.append((marked, self._client.ask()))
        except OSError as error:
            self.error = f"{type(error).__name__}: {error}"
        self._client.close()

    def seen(self) -> dict[str, Any]:
        """Give what it has seen."""
        return {"answers": self.answers, "opened": self._client.opened, "error": self.error}


class Clients:
    """What a test can have done."""

    stopping = False
    marked = False
    users: list[Load]

    def do_ask(self, request: dict[str, Any]) -> list[str]:
        """Ask {count} times in turn, on one connection or {anew} on one each: the names.

        {path} and {host} may say for what.
        """
        client = Client(path=request.get("path", "/"), host=request.get("host", ""))
        names = []
        for _ in range(request["count"]):
            names.append(client.ask())
            if request["anew"]:
                client.close()
        client.close()
        return names

    def do_ask_from(self, request: dict[str, Any]) -> list[str]:
        """Ask once from each of {sources}: the names."""
        names = []
        for source in request["sources"]:
            client = Client(source)
            names.append(client.ask())
            client.close()
        return names

    def do_start(self, request: dict[str, Any]) -> None:
        """Start {users} that ask for ever."""
        self.stopping = self.marked = False
        self.users = [Load(self) for _ in range(request["users"])]
        for user in self.users:
            user.start()

    def do_mark(self, _request: dict[str, Any]) -> None:
        """Note of requests from now on that they began after this."""
        self.marked = True

    def do_await(self, request: dict[str, Any]) -> None:
        """Wait until every user has {count} answers to what it began before or after the mark, or failed."""
        end_s = time.monotonic() + _MOST_S
        for user in self.users:
            while sum(marked == self.marked for marked, _ in user.answers) < request["count"]:
                if user.error or time.monotonic() > end_s:
                    return
                time.sleep(0.005)

    def do_stop(self, _request: dict[str, Any]) -> list[dict[str, Any]]:
        """End the load: what each user saw."""
        self.stopping = True
        for user in self.users:
            user.join()
        return [user.seen() for user in self.users]


def main() -> NoReturn:
    """Do what the test asks for, until it closes the channel."""
    channel = Channel.inherited(int(sys.argv[1]))
    clients = Clients()
    while True:
        request = channel.receive()
        try:
            answer = {"answer": getattr(clients, f"do_{request['do']}")(request)}
        except OSError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        channel.send(answer)


if __name__ == "__main__":
    try:
        main()
    except ChannelClosedError:
        sys.exit(0)

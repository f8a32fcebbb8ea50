"""Asking a program on the host through its administration interface."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from harness.errors import HostError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.hosts.base import Host


@dataclass(frozen=True)
class Reply:
    """An answer: its HTTP status, its header fields by their names in small letters, its body."""

    status: int
    headers: Mapping[str, str]
    text: str


def ask(host: Host, place: int | str, path: str, method: str = "GET", body: str = "") -> Reply:
    """Ask over HTTP.

    Parameters
    ----------
    host, place
        A TCP port of the host's loopback, or the path of a Unix socket.
    path, method, body
        What; a body is JSON.

    Raises
    ------
    HostError
        No program listens there, or it sends no HTTP answer.
    """
    with closing(HTTPConnection("localhost")) as connection:
        connection.sock = host.connect(place)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body.encode() or None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, HTTPException) as error:
            raise HostError(f"no answer from {place} to {method} {path}: {error}") from error
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, fields, text)


def asked(host: Host, place: int | str, path: str, method: str = "GET", body: str = "") -> str:
    """Send a request, as `ask` does, and give the body of a good answer.

    Raises
    ------
    StrategyError
        The answer is a refusal; the message holds its words.
    """
    reply = ask(host, place, path, method, body)
    if reply.status != 200:
        raise StrategyError(f"{method} {path} was refused ({reply.status}): {reply.text.strip():.500}")
    return reply.text

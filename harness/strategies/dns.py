"""A name server on the host that knows where the members are: dnsmasq, as small networks run it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from harness.errors import HostError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host, Service
    from harness.strategies.base import Member

COMMANDS = {"dnsmasq": "apt-get install dnsmasq-base"}
ADDRESS, PORT = "127.0.0.1", 53
NAME = "instances.sameport.test"
"""The name that all members answer to; .test is reserved for such use (RFC 6761)."""

_FOLDER = "/run/sameport/dns"


class Dns:
    """Answers `NAME` with the addresses of all members, in changing order.

    Answers hold for one second. Weights have no place in it.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._service: Service | None = None

    def publish(self, members: Sequence[Member]) -> None:
        """Answer with these members from now on.

        Raises
        ------
        StrategyError
            dnsmasq does not start; the message holds its words.
        """
        lines = [f"{member.address} {NAME} {member.name}.{NAME}\n" for member in members]
        self._host.write(f"{_FOLDER}/hosts", "".join(lines))
        if self._service is None:
            self._start()
        else:
            self._service.signal(signal.SIGHUP)  # it reads the file again

    def _start(self) -> None:
        argv = [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            f"--addn-hosts={_FOLDER}/hosts",
            f"--listen-address={ADDRESS}",
            f"--port={PORT}",
            "--bind-interfaces",
            "--local-ttl=1",
            "--user=root",
            "--pid-file=",
            "--log-facility=-",
        ]
        try:
            self._service = self._host.serve("dnsmasq", argv)
            self._service.wait_listening([PORT])
        except HostError as error:
            raise StrategyError(str(error)) from error

    def stop(self) -> None:
        """Stop answering."""
        if self._service is not None:
            self._service.stop()

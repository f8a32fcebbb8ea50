"""The load profile as the generator gets it.

The parent process builds one and sends it as JSON; nothing here needs Locust or gevent.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from math import gcd
from typing import Any, Literal, NamedTuple, Self

from harness.types import authority


class Asked(NamedTuple):
    """The requests of a route: a path, a host (empty for the endpoint itself), and how often.

    How often is in relation to the other routes' weights.
    """

    path: str
    host: str
    weight: int


@dataclass(frozen=True)
class LoadProfile:
    """The requests, their target, the number of users, and how an answer names its instance.

    Parameters
    ----------
    address, port
        The endpoint; `address` is numeric (IPv4 or IPv6), names are not looked up.
    path
        The request target of every request.
    headers
        Header fields of every request; `Host` is added unless it is among them.
    users
        Size of the closed loop; in an open one, how many connections there may be at a time.
    requests_per_connection
        1 opens a connection for each request, None keeps it until the server closes it.
    timeout_ns
        For one request: connecting and the whole response together.
    identity_header, identity_body
        Where an answer names its instance: a header field, or a regular expression with one group,
        searched in the body. The header goes first; with neither, no answer is expected to have a name.
    sources
        Local addresses to connect from, in turn; when there are none the kernel chooses.
    seed
        Seeds whatever chance the load contains.
    requests
        A phase ends when so many have been begun, by all users together; None leaves it to time.
    user
        ``wire``, the compiled data plane; ``gevent``, users of plain Python; ``http``, Locust's FastHttpUser.
    locustfile
        Path of a Python file whose user classes send the requests, in place of all of these.
    stages
        Arrivals of an open loop: rate a second and nanoseconds that it lasts, one after the other; none
        for a closed loop. `wire` alone can drive them.
    user_stages
        Numbers of users of a closed loop and nanoseconds that each lasts, one after the other; `wire` alone
        can take users away in order.
    spawn_rate_per_s
        How fast users come; None for all at once.
    poisson
        Whether arrivals come at random, independently of each other, and not at equal distances.
    reset
        Whether the client ends its connections by a reset.
    routes
        What is asked for in turn, in place of `path`; none for `path` alone.
    method, body
        The method of every request, and what it carries.
    think_ns
        How long a user of a closed loop waits between an answer and its next request.
    transport, codec
        The protocol, by the names that `harness.load.transports` and `harness.load.codecs` have for it.

    Raises
    ------
    ValueError
        A value that no load can be made of.
    """

    address: str
    port: int
    path: str
    headers: dict[str, str]
    users: int
    requests_per_connection: int | None
    timeout_ns: int
    identity_header: str | None
    identity_body: str | None
    sources: tuple[str, ...]
    seed: int
    requests: int | None = None
    user: Literal["wire", "gevent", "http"] = "wire"
    locustfile: str | None = None
    stages: tuple[tuple[float, int], ...] = ()
    user_stages: tuple[tuple[int, int], ...] = ()
    spawn_rate_per_s: float | None = None
    poisson: bool = False
    reset: bool = False
    routes: tuple[Asked, ...] = ()
    method: str = "GET"
    body: str = ""
    think_ns: int = 0
    transport: str = "tcp"
    codec: str = "http1"

    def __post_init__(self) -> None:
        for field in ("users", "requests_per_connection", "timeout_ns", "requests"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise ValueError(f"{field} must be at least 1, not {number}")
        if self.stages and (self.user != "wire" or self.locustfile):
            raise ValueError("an open loop needs the compiled data plane")
        if self.identity_body is not None:
            try:
                groups = re.compile(self.identity_body.encode()).groups
            except re.error as error:
                raise ValueError(f"identity_body {self.identity_body!r}: {error}") from None
            if groups != 1:
                raise ValueError(f"identity_body must have one group, {self.identity_body!r} has {groups}")
        self._require_http()

    def _require_http(self) -> None:
        # A line break or a blank here would end the request line or the field, and change the request.
        if not re.fullmatch(r"[A-Z]+", self.method) or self.method in {"HEAD", "CONNECT"}:
            raise ValueError(f"method must be one whose answer may have a body, not {self.method!r}")
        if self.think_ns < 0:
            raise ValueError(f"think_ns must be at least 0, not {self.think_ns}")
        for path in (self.path, *(asked.path for asked in self.routes)):
            if not re.fullmatch(r"[!-~]+", path):
                raise ValueError(f"path must be printable ASCII without blanks, not {path!r}")
        if any(asked.weight < 1 for asked in self.routes):
            raise ValueError("each route has requests: weights are at least 1")
        for name, value in (*self.headers.items(), *(("Host", asked.host) for asked in self.routes)):
            if not (re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and re.fullmatch(r"[ -~\t]*", value)):
                raise ValueError(f"headers: {name!r}: {value!r} is no header field")

    @property
    def once(self) -> bool:
        """Whether a request must not be sent twice: its method is not idempotent (RFC 9110 §9.2.2)."""
        return self.method in {"POST", "PATCH"}

    def asked(self) -> tuple[Asked, ...]:
        """Give the requests of each route, or those of a load without routes."""
        return self.routes or (Asked(self.path, "", 1),)

    def fields(self, asked: Asked) -> dict[str, str]:
        """Give the header fields of a request on a route; the port stands behind a host unless it is 80."""
        if not asked.host:
            return dict(self.headers)
        host = asked.host if self.port == 80 else authority(asked.host, self.port)
        return {"Host": host, **self.headers}

    def turns(self) -> tuple[int, ...]:
        """Give the order of the routes' requests, over and over: as often as weights say, well mixed.

        This is nginx's smooth weighted round robin: weights 5, 1, 1 give 0, 0, 1, 0, 2, 0, 0, so that no
        route has to wait for another one's whole share.
        """
        weights = [asked.weight for asked in self.asked()]
        weights = [weight // gcd(*weights) for weight in weights]
        total, standing, order = sum(weights), [0] * len(weights), []
        for _ in range(total):
            standing = [credit + weight for credit, weight in zip(standing, weights, strict=True)]
            chosen = max(range(len(weights)), key=standing.__getitem__)
            standing[chosen] -= total
            order.append(chosen)
        return tuple(order)

    def source_of(self, connection: int) -> int:
        """Give which source a connection is made from: the next one, and 0 where there are none.

        Routes take turns, too: each lap begins one later, so that no route is asked for from the same few
        sources alone.
        """
        if not self.sources:
            return 0
        lap = connection // len(self.sources) if len(self.routes) > 1 else 0
        return (connection + lap) % len(self.sources)

    def authority(self) -> str:
        """Give address and port, as a URL has them."""
        return authority(self.address, self.port)

    def to_json(self) -> dict[str, Any]:
        """Give the profile as JSON values."""
        return {**asdict(self), "sources": list(self.sources)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        TypeError
            A field is missing, or one is not known.
        ValueError
            A value that no load can be made of.
        """
        stages = tuple((float(rate), int(lasts)) for rate, lasts in values.get("stages", ()))
        users = tuple((int(number), int(lasts)) for number, lasts in values.get("user_stages", ()))
        sources, routes = tuple(values["sources"]), tuple(Asked(*asked) for asked in values.get("routes", ()))
        read = {"sources": sources, "stages": stages, "user_stages": users, "routes": routes}
        return cls(**{**values, **read})

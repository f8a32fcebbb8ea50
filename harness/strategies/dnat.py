"""Destination NAT by iptables: the first packet of a connection chooses its instance.

The rules stand in one chain, entered from PREROUTING (clients elsewhere) and OUTPUT (clients on
the host itself). The nat table sees a connection's first packet only, so the choice holds for the
whole connection, and the rules' packet counters count connections.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from math import gcd
from typing import TYPE_CHECKING, ClassVar

from harness.errors import StrategyError
from harness.strategies.base import Counted, Endpoint, Member, Strategy, Unit
from harness.words import last_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.hosts.base import Host

_MOST_RULES = 250  # in one chain: half of what a transaction can hold
_DECLARED_CHAIN = re.compile(r"^:(\S+) ", re.MULTILINE)
_COUNTED_RULE = re.compile(r"^\[(\d+):\d+\] -A (\S+) .*--to-destination (\S+)$", re.MULTILINE)


_WAY = """
client --> host:PORT --> nat table: PREROUTING (or OUTPUT for clients on the host)
                           --> chain SAMEPORT-PORT --> rule k --> DNAT --> instance k
"""
_SEAMS = """
- The choice is made once for a connection, by its first packet: all requests on a kept-alive connection
  go to the same instance.
- Rules keep pointing at an instance that has died: its share of the connections fails until they are changed.
- After a change, established connections stay where connection tracking has them.
"""


class _Dnat(Strategy):
    """A cascade of DNAT rules; which, and what they match on, is the strategy's."""

    unit: Unit = "connection"
    keeps_source: ClassVar[bool] = True
    way: ClassVar[str] = _WAY
    seams: ClassVar[str] = _SEAMS
    commands: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("iptables-restore", "iptables-save"), "apt-get install iptables"
    )
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = {"iptables": ("iptables", "--version")}

    @abstractmethod
    def _cascade(self, members: Sequence[Member]) -> list[str]:
        """Write the rules of the endpoint's chain."""

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Put in the cascade and the two jumps to it."""
        _fill(host, endpoint, self._cascade(members), _jumps("-A", endpoint))

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Switch to a new cascade at once; the kernel remembers established connections."""
        _fill(host, endpoint, self._cascade(members), [])

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Take out the jumps and the chains, and nothing else."""
        chains = [_chain(endpoint), *_overflow_chains(host, endpoint)]
        _restore(host, [*_jumps("-D", endpoint), *_removal(chains)])

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the connections that each member's rules have taken."""
        counts: Counter[str] = Counter()
        for packets, chain, destination in _COUNTED_RULE.findall(_saved(host)):
            if _belongs(chain, endpoint):
                counts[destination] += int(packets)
        each = tuple(counts[f"{member.address}:{member.port}"] for member in members)
        return Counted("kernel", "connections", sum(each), each)


class DnatRandom(_Dnat):
    """Rules that match with probability 1/N, 1/(N-1), …, 1.

    A packet reaches rule k only if the k-1 rules before it did not match; so the k-th of N members
    must match 1/(N-k+1) of what is left for all of them to get 1/N (iptables-extensions(8), module
    statistic).
    """

    name: ClassVar[str] = "dnat-random"
    summary: ClassVar[str] = "iptables DNAT, a cascade of random rules"
    policy = "random"
    predicted: ClassVar[str] = "multinomial, each its weight"
    weights: bool = True

    def _cascade(self, members: Sequence[Member]) -> list[str]:
        left = sum(member.weight for member in members)
        rules = []
        for member in members:
            rules.append(_rule(member, _random(member.weight / left)))
            left -= member.weight
        return rules


class DnatNth(_Dnat):
    """Rules that match every N-th, (N-1)-th, …, 1st packet that reaches them: round robin.

    Each rule counts for itself. The first takes every N-th packet; of those that it leaves, the
    second takes every (N-1)-th; and so on. N connections in a row go to N different members.
    """

    name: ClassVar[str] = "dnat-nth"
    summary: ClassVar[str] = "iptables DNAT, a cascade of every-nth rules"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly each its weight"
    weights: bool = True
    seams: ClassVar[str] = f"""{_SEAMS}\
- Weights are whole numbers of rules: 9 to 1 is nine rules for the one and one for the other.
"""

    def _cascade(self, members: Sequence[Member]) -> list[str]:
        divisor = gcd(*(member.weight for member in members))
        # Each member once a round, as long as its weight lasts: a heavy one is not served in one go.
        rounds = range(max(member.weight for member in members) // divisor)
        turns = [member for turn in rounds for member in members if member.weight // divisor > turn]
        return [
            _rule(member, f"--mode nth --every {left} --packet 0" if left > 1 else "")
            for member, left in zip(turns, range(len(turns), 0, -1), strict=True)
        ]


class DnatLiteral(_Dnat):
    """All rules but the last with probability 1/N: what is often written, and is not even.

    Rule k gets 1/N of what the k-1 rules before it left, and the last takes the rest: of ten
    members the first gets 10 %, the ninth 4.3 %, and the last 38.7 %.
    """

    name: ClassVar[str] = "dnat-literal"
    summary: ClassVar[str] = "iptables DNAT, N-1 rules of 1/N each: as often written, and not even"
    policy = "random, skewed"
    predicted: ClassVar[str] = "(1/N)(1-1/N)^(k-1) for the k-th, the rest for the last"
    seams: ClassVar[str] = f"""
- Each rule gets 10 % of what the rules before it left, not of everything: the ninth of ten gets 4.3 %, and
  the last, which takes the rest, 38.7 %.\
{_SEAMS}"""

    def _cascade(self, members: Sequence[Member]) -> list[str]:
        *others, last = members
        return [*(_rule(member, _random(1 / len(members))) for member in others), _rule(last, "")]

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give q/N, q²/N, …, with q = 1 - 1/N, and the rest to the last."""
        count = len(members)
        shares = [(1 - 1 / count) ** position / count for position in range(count - 1)]
        return [*shares, 1 - sum(shares)]


def _rule(member: Member, statistic: str) -> str:
    match = f"-m statistic {statistic} " if statistic else ""
    return f"-p tcp {match}-j DNAT --to-destination {member.address}:{member.port}"


def _random(chance: float) -> str:
    # The kernel keeps 31 bits of it; twelve digits lose none of them.
    return f"--mode random --probability {chance:.12f}" if chance < 1 else ""


def _chain(endpoint: Endpoint) -> str:
    return f"SAMEPORT-{endpoint.port}"


def _belongs(chain: str, endpoint: Endpoint) -> bool:
    return chain == _chain(endpoint) or chain.startswith(_chain(endpoint) + "-")


def _fill(host: Host, endpoint: Endpoint, rules: Sequence[str], jumps: Sequence[str]) -> None:
    """Make the endpoint's chain hold these rules, in one transaction.

    A transaction has to fit a netlink socket's buffer, which without privileges outside the
    namespace can't be raised: some 500 rules. A longer cascade goes on in chains of its own, which
    are made before, while nothing leads to them; the transaction that counts is still one.
    """
    old = _overflow_chains(host, endpoint)
    side = "b" if any(chain.startswith(f"{_chain(endpoint)}-a") for chain in old) else "a"
    blocks = [rules[start : start + _MOST_RULES] for start in range(0, len(rules), _MOST_RULES)]
    chains = [_chain(endpoint), *(f"{_chain(endpoint)}-{side}{k}" for k in range(1, len(blocks)))]
    filled = [_declared(*filling) for filling in zip(chains, blocks, [*chains[1:], None], strict=True)]
    for lines in reversed(filled[1:]):
        _restore(host, lines)
    _restore(host, [*filled[0], *jumps, *_removal(old)])


def _declared(chain: str, rules: Sequence[str], following: str | None) -> list[str]:
    """Write a chain; its declaration empties it first, within the same transaction."""
    lines = [f":{chain} - [0:0]", *(f"-A {chain} {rule}" for rule in rules)]
    return [*lines, f"-A {chain} -g {following}"] if following else lines


def _jumps(action: str, endpoint: Endpoint) -> list[str]:
    match = f"-d {endpoint.address}/32 -p tcp --dport {endpoint.port} -j {_chain(endpoint)}"
    return [f"{action} PREROUTING {match}", f"{action} OUTPUT {match}"]


def _overflow_chains(host: Host, endpoint: Endpoint) -> list[str]:
    prefix = _chain(endpoint) + "-"
    return [chain for chain in _DECLARED_CHAIN.findall(_saved(host)) if chain.startswith(prefix)]


def _removal(chains: Sequence[str]) -> list[str]:
    return [*(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]


def _saved(host: Host) -> str:
    return _succeed(host, ["iptables-save", "-c", "-t", "nat"], "")


def _restore(host: Host, lines: Sequence[str]) -> None:
    transaction = "\n".join(["*nat", *lines, "COMMIT", ""])
    _succeed(host, ["iptables-restore", "--wait", "--noflush"], transaction)


def _succeed(host: Host, argv: list[str], text: str) -> str:
    finished = host.run(argv, text)
    if finished.status:
        words = last_words(finished.stderr.encode())
        raise StrategyError(f"{argv[0]} refused the rules: {words}")
    return finished.stdout

"""Destination NAT by iptables: the first packet of a connection chooses its instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.strategies.iptables import IptablesStrategy, dnat, with_chance
from harness.strategies.turns import turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Member

_PATH = """
client --> host:PORT --> nat table: PREROUTING (or OUTPUT for clients on the host)
                           --> chain SAMEPORT-PORT --> rule k --> DNAT --> instance k
"""
_CAVEATS = """
- The choice is made once for a connection, by its first packet: all requests on a kept-alive connection
  go to the same instance.
- Rules keep pointing at a dead instance: its share of the connections fails until the rules are changed.
- After a change, connection tracking keeps established connections at their instance.
"""


class _Cascade(IptablesStrategy):
    """Rules that are evaluated one after another."""

    packet_path: ClassVar[str] = _PATH
    caveats: ClassVar[str] = _CAVEATS


class DnatRandom(_Cascade):
    """Rules that match with probability 1/N, 1/(N-1), …, 1.

    A packet reaches rule k only if the k-1 rules before it did not match; so the k-th of N members
    must match 1/(N-k+1) of what is left for all of them to get 1/N (iptables-extensions(8), module
    statistic).
    """

    name: ClassVar[str] = "dnat-random"
    summary: ClassVar[str] = "iptables DNAT, a cascade of random rules"
    policy = "random"
    predicted: ClassVar[str] = "multinomial"
    weights: bool = True

    def _rules(self, members: Sequence[Member]) -> list[str]:
        left = sum(member.weight for member in members)
        rules = []
        for member in members:
            rules.append(dnat(member, with_chance(member.weight / left)))
            left -= member.weight
        return rules


class DnatNth(_Cascade):
    """Rules that match every N-th, (N-1)-th, …, 1st packet that reaches them: round robin.

    Each rule counts for itself. The first takes every N-th packet; of those that it leaves, the
    second takes every (N-1)-th; and so on. N connections in a row go to N different members.
    """

    name: ClassVar[str] = "dnat-nth"
    summary: ClassVar[str] = "iptables DNAT, a cascade of every-nth rules"
    policy = "round robin"
    predicted: ClassVar[str] = "exactly by weight"
    weights: bool = True
    caveats: ClassVar[str] = f"""{_CAVEATS}\
- Weights are whole numbers of rules: 9 to 1 is nine rules for the one and one for the other.
"""

    def _rules(self, members: Sequence[Member]) -> list[str]:
        chosen = turns([member.weight for member in members])
        return [
            dnat(members[k], f"--mode nth --every {left} --packet 0" if left > 1 else "")
            for k, left in zip(chosen, range(len(chosen), 0, -1), strict=True)
        ]


class DnatLiteral(_Cascade):
    """All rules but the last with probability 1/N: what is often written, and is not even.

    Rule k gets 1/N of what the k-1 rules before it left, and the last takes the rest: of ten
    members the first gets 10 %, the ninth 4.3 %, and the last 38.7 %.
    """

    name: ClassVar[str] = "dnat-literal"
    summary: ClassVar[str] = "iptables DNAT, N-1 rules of 1/N each: as often written, and not even"
    policy = "random, skewed"
    predicted: ClassVar[str] = "(1/N)(1-1/N)^(k-1), the rest for the last"
    caveats: ClassVar[str] = f"""
- Each rule gets 10 % of what the rules before it left, not of everything: the ninth of ten gets 4.3 %, and
  the last, which takes the rest, 38.7 %.\
{_CAVEATS}"""

    def _rules(self, members: Sequence[Member]) -> list[str]:
        *others, last = members
        return [*(dnat(member, with_chance(1 / len(members))) for member in others), dnat(last, "")]

    def predicted_shares(self, members: Sequence[Member]) -> list[float]:
        """Give q/N, q²/N, …, with q = 1 - 1/N, and the rest to the last."""
        count = len(members)
        shares = [(1 - 1 / count) ** position / count for position in range(count - 1)]
        return [*shares, 1 - sum(shares)]

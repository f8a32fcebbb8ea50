"""Rules in the nat table by iptables: chains that are filled, read and taken out in transactions.

The nat table sees a connection's first packet only, so a choice holds for the whole connection, and
the rules' packet counters count connections.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from harness.common.text import stderr_tail
from harness.errors import StrategyError
from harness.strategies.actions import Command, Question
from harness.strategies.base import Strategy
from harness.types import Counted, Endpoint, Member, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.hosts.base import Finished, Host
    from harness.strategies.actions import Actions, Facts

COMMANDS = dict.fromkeys(("iptables-restore", "iptables-save"), "apt-get install iptables")
VERSIONS = {"iptables": ("iptables", "--version")}
MOST_RULES = 250
"""How many rules a chain gets in one transaction: half of what that can hold."""

_DECLARED_CHAIN = re.compile(r"^:(\S+) ", re.MULTILINE)
_COUNTED_RULE = re.compile(r"^\[(\d+):\d+\] -A (\S+) .*--to-destination (\S+)$", re.MULTILINE)


class IptablesStrategy(Strategy):
    """A strategy that is a chain of rules; which rules, is its own.

    The chain is entered from PREROUTING (clients elsewhere) and OUTPUT (clients on the host itself).
    """

    unit: Unit = "connection"
    family: ClassVar[str] = "iptables"
    keeps_source: ClassVar[bool] = True
    needs_root: ClassVar[bool] = True
    commands: ClassVar[Mapping[str, str]] = COMMANDS
    versions: ClassVar[Mapping[str, tuple[str, ...]]] = VERSIONS

    @abstractmethod
    def _rules(self, members: Sequence[Member]) -> list[str]:
        """Write the rules of the endpoint's chain."""

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Put in the chain and the two jumps to it."""
        del facts
        there = yield from declared()
        yield from fill(there, _chain(endpoint), self._rules(members), _jumps("-A", endpoint))

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Switch to new rules at once; the kernel remembers established connections."""
        del facts
        there = yield from declared()
        yield from fill(there, _chain(endpoint), self._rules(members))

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Take out the jumps and the chains, and nothing else."""
        del facts
        there = yield from declared()
        chains = [chain for chain in there if _belongs(chain, endpoint)]
        yield from restore([*_jumps("-D", endpoint), *removal(chains)])

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the connections that each member's rules have taken."""
        counts = counts_by_destination(host, lambda chain: _belongs(chain, endpoint))
        each = tuple(counts[member.authority] for member in members)
        return Counted("kernel", "connections", sum(each), each)


def dnat(member: Member, statistic: str = "") -> str:
    """Write a rule that sends a connection to a member, if it matches by iptables' module statistic."""
    match = f"-m statistic {statistic} " if statistic else ""
    return f"-p {member.transport} {match}-j DNAT --to-destination {member.authority}"


def with_chance(chance: float) -> str:
    """Write what makes a rule match by chance; nothing where it always does."""
    # The kernel keeps 31 bits of it; twelve digits lose none of them.
    return f"--mode random --probability {chance:.12f}" if chance < 1 else ""


def _chain(endpoint: Endpoint) -> str:
    return f"SAMEPORT-{endpoint.port}"


def _belongs(chain: str, endpoint: Endpoint) -> bool:
    return chain == _chain(endpoint) or chain.startswith(_chain(endpoint) + "-")


def _jumps(action: str, endpoint: Endpoint) -> list[str]:
    match = f"-d {endpoint.network} -p {endpoint.transport} --dport {endpoint.port} -j {_chain(endpoint)}"
    return [f"{action} PREROUTING {match}", f"{action} OUTPUT {match}"]


def fill(
    there: Sequence[str],
    chain: str,
    rules: Sequence[str],
    then: Sequence[str] = (),
    overflow: str | None = None,
) -> Actions[None]:
    """Make a chain hold these rules, and carry out what is to be done `then`, in one transaction.

    A transaction has to fit a netlink socket's buffer, which without privileges outside the
    namespace can't be raised: some 500 rules. A longer chain goes on in chains of its own, which
    are made before, while nothing leads to them; the transaction that counts is still one.

    Parameters
    ----------
    there
        The chains that there are.
    overflow
        What the further chains' names begin with; the chain's own name by default.
    """
    prefix = f"{overflow or chain}-"
    old = [name for name in there if name.startswith(prefix)]
    side = "b" if any(name.startswith(f"{prefix}a") for name in old) else "a"
    blocks = [rules[start : start + MOST_RULES] for start in range(0, len(rules), MOST_RULES)]
    chains = [chain, *(f"{prefix}{side}{k}" for k in range(1, len(blocks)))]
    filled = [declaration(*filling) for filling in zip(chains, blocks, [*chains[1:], None], strict=True)]
    for lines in reversed(filled[1:]):
        yield from restore(lines)
    yield from restore([*filled[0], *then, *removal(old)])


def declaration(chain: str, rules: Sequence[str], following: str | None = None) -> list[str]:
    """Write a chain; its declaration empties it first, within the same transaction."""
    lines = [f":{chain} - [0:0]", *(f"-A {chain} {rule}" for rule in rules)]
    return [*lines, f"-A {chain} -g {following}"] if following else lines


def removal(chains: Sequence[str]) -> list[str]:
    """Write what takes out chains that lead to each other at most."""
    return [*(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]


def declared() -> Actions[list[str]]:
    """List the nat table's chains."""
    return chains_of((yield from saved()))


def chains_of(table: str) -> list[str]:
    """List the chains of a table that `saved` or `read` gave."""
    return _DECLARED_CHAIN.findall(table)


def counts_by_destination(host: Host, ours: Callable[[str], bool]) -> Counter[str]:
    """Read how many connections the rules of `ours`, chosen by their chain, sent to each address:port."""
    counts: Counter[str] = Counter()
    for packets, chain, destination in _COUNTED_RULE.findall(read(host)):
        if ours(chain):
            counts[destination] += int(packets)
    return counts


def counted_anywhere(host: Host, members: Sequence[Member]) -> Counted:
    """Read the connections that rules of whatever chain sent to each member."""
    counts = counts_by_destination(host, lambda _: True)
    each = tuple(counts[member.authority] for member in members)
    return Counted("kernel", "connections", sum(each), each)


_SAVE = Command(("iptables-save", "-c", "-t", "nat"))


def saved() -> Actions[str]:
    """Read the nat table, which is empty on a new host."""
    return _said(_SAVE, (yield Question(_SAVE, on_new_host="")))


def read(host: Host) -> str:
    """Read the nat table, with its counters."""
    return _said(_SAVE, host.run(_SAVE.argv))


def restore(lines: Sequence[str]) -> Actions[None]:
    """Carry out one transaction on the nat table.

    Raises
    ------
    StrategyError
        iptables refused it; nothing of it is in force.
    """
    transaction = "\n".join(["*nat", *lines, "COMMIT", ""])
    command = Command(("iptables-restore", "--wait", "--noflush"), transaction)
    _said(command, (yield command))


def _said(command: Command, finished: Finished) -> str:
    if finished.status:
        words = stderr_tail(finished.stderr.encode())
        raise StrategyError(f"{command.argv[0]} refused the rules: {words}")
    return finished.stdout

"""Shares that hashes give, as their authors' code has them; `test_proxies` asks the proxies themselves."""

from __future__ import annotations

import pytest

from harness.strategies.envoy import Envoy, EnvoyOptions
from harness.strategies.envoy_ring import xxhash64
from harness.strategies.traefik import Traefik, TraefikOptions
from harness.types import Member

_TEN = [Member(f"instance-{k}", f"198.19.0.{k + 1}", 8080) for k in range(1, 11)]


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_xxhash_is_the_published_one(data: bytes, digest: int) -> None:
    """Of texts shorter and longer than a stripe, as the hash's own and other programs have them."""
    assert xxhash64(data) == digest


def test_envoy_ring_is_more_even_with_more_points() -> None:
    """A hundred points for each of ten hosts leave them far apart; ten thousand do not."""
    worst = {}
    for size in (1024, 100_000):
        shares = Envoy(EnvoyOptions(policy="hash", ring_size=size)).predicted_shares(_TEN)
        assert sum(shares) == pytest.approx(1)
        worst[size] = max(abs(10 * share - 1) for share in shares)
    assert worst[1024] > 0.1
    assert worst[100_000] < 0.05


def test_traefik_hash_follows_the_last_digits_of_the_servers_urls() -> None:
    """Of ports 8001 to 8004 the last gets half, as measured; of unlike addresses, each its quarter."""
    traefik = Traefik(TraefikOptions(policy="hash"))
    ports = [Member(f"instance-{k}", "198.19.0.2", 8000 + k) for k in range(1, 5)]
    assert traefik.predicted_shares(ports) == pytest.approx([0.259, 0.132, 0.137, 0.472], abs=0.04)
    assert traefik.predicted_shares(_TEN[:4]) == pytest.approx([0.25] * 4, abs=0.01)

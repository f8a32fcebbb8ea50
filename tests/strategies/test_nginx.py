"""What is nginx's own: its stream module, passive health checks, addresses that it knows by three bytes."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError, StrategyError
from harness.scenario import load_scenario
from harness.strategies.nginx import Nginx, NginxOptions, NginxStream, NginxStreamOptions
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.hosts.netns import NetnsHost
    from tests.strategies.conftest import Lab

_ASK = """
import sys
from collections import Counter
from http.client import HTTPConnection
for source in sys.argv[1:]:
    client = HTTPConnection("198.18.37.99", 80, source_address=(source, 0))
    client.request("GET", "/")
    print(client.getresponse().read().decode().split()[-1])
    client.close()
"""


def _ask(host: NetnsHost, *sources: str) -> list[str]:
    """Ask once from each of these loopback addresses: who answered."""
    finished = host.run([sys.executable, "-c", _ASK, *sources])
    assert finished.status == 0, finished.stderr
    return finished.stdout.split()


def test_ip_hash_takes_a_whole_24_for_one_client(lab: Lab) -> None:
    """Forty addresses of one /24 all come to one instance; hash tells them apart."""
    members = lab.start(4)
    sources = [f"127.0.7.{k}" for k in range(1, 41)]
    spread = {}
    for policy in ("ip-hash", "hash"):
        proxy = Nginx(NginxOptions(policy=policy))
        proxy.expose(lab.host, ENDPOINT, members)
        spread[policy] = len(Counter(_ask(lab.host, *sources)))
        proxy.withdraw(lab.host, ENDPOINT)
    assert spread == {"ip-hash": 1, "hash": 4}


def test_nginx_leaves_out_a_failed_instance_for_a_while(lab: Lab) -> None:
    """One try finds out that an instance is gone; without the option, each of its turns is one."""
    members = lab.start(2)
    gone = replace(members[0], port=9)
    logged = {}
    for checked in (True, False):
        proxy = Nginx(NginxOptions(health_checks=checked, workers=1))
        proxy.expose(lab.host, ENDPOINT, [gone, members[1]])
        before = _refusals(lab.host)
        assert set(_ask(lab.host, *["127.0.0.1"] * 20)) == {members[1].name}
        logged[checked] = _refusals(lab.host) - before
        proxy.withdraw(lab.host, ENDPOINT)
    assert logged == {True: 1, False: 10}


def _refusals(host: NetnsHost) -> int:
    logs = host.run(["sh", "-c", "cat /run/sameport/services/*.log"]).stdout
    return logs.count("Connection refused")


def test_a_missing_stream_module_is_told_with_what_installs_it(host: NetnsHost) -> None:
    """Where nginx can load modules and has not this one, the message names the package."""
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/usr/lib/nginx/modules"])
    with pytest.raises(StrategyError, match=r"no stream module .*apt-get install libnginx-mod-stream"):
        NginxStream(NginxStreamOptions()).expose(host, ENDPOINT, [])


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("policy: hash", "at random; policy hash needs discovery: static"),
        ("health_checks: true", "take it out, or write discovery: static"),
        ("keep_alive: true", "take it out, or write discovery: static"),
    ],
)
def test_nginx_refuses_upstream_options_with_dns(tmp_path: Path, option: str, complaint: str) -> None:
    """Policies, failures and kept connections belong to upstream blocks, which know no names."""
    file = tmp_path / "x.yaml"
    file.write_text(f"strategy: {{name: nginx, discovery: dns, {option}}}\nreplicas: 2\n")
    with pytest.raises(ScenarioError, match=complaint):
        load_scenario(file)


def test_weights_are_refused_with_a_name_server(tmp_path: Path) -> None:
    """An address has no weight."""
    file = tmp_path / "x.yaml"
    file.write_text("strategy: {name: nginx, discovery: dns}\nweights: {a: 9, b: 1}\n")
    with pytest.raises(ScenarioError, match="nginx can't give instances different shares with these options"):
        load_scenario(file)

"""Expose: one endpoint for all instances, and a generator that is ready to ask it."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness._version import __version__
from harness.hosts.address_plan import IPV4, IPV6
from harness.results.journal import Notes
from harness.runner.preload import prepare_analysis
from harness.strategies.executor import carry_out, facts_of
from harness.types import Endpoint, authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from harness.hosts.base import Host
    from harness.load.driver import Workers
    from harness.runner.phases import Phases
    from harness.runner.provision import Provisioned
    from harness.strategies.base import Strategy
    from harness.types import Member


@dataclass(frozen=True)
class Exposed:
    """Instances that clients reach at one endpoint.

    Attributes
    ----------
    lab
        What was provisioned.
    stage, endpoint
        The host as the strategy sees it, and the endpoint that it opens there.
    notes
        The strategy's actions on its host, so far and to come.
    versions
        Name to version of everything that takes part.
    analysis
        Done when the analysis is imported, which goes on beside the run.
    """

    lab: Provisioned
    stage: Host
    endpoint: Endpoint
    notes: Notes
    versions: Mapping[str, str]
    analysis: Future[None]

    def update(self, members: Sequence[Member]) -> None:
        """Have the strategy take over members, and note what it asks of its host for that."""
        actions = self.lab.strategy.updating(facts_of(self.stage), self.endpoint, members)
        carry_out(actions, self.stage, self.notes.during("update"))


def expose(lab: Provisioned, joining: Workers, phases: Phases) -> Exposed:
    """Have the strategy expose the instances, and the generator get ready.

    Parameters
    ----------
    lab
        What was provisioned.
    joining
        Workers that join from elsewhere.
    phases
        Shows and times what is done.

    Raises
    ------
    HarnessError
        The strategy can't, or the generator does not get ready.
    """
    worker = ThreadPoolExecutor(1)
    analysis = worker.submit(prepare_analysis)
    worker.shutdown(wait=False)  # it takes no more work; this one goes on beside the run
    with phases("expose", "exposing", lab.strategy.name):
        stage, endpoint = lab.engine.exposure(Endpoint(lab.host.address, lab.scenario.port))
        notes = Notes()
        actions = lab.strategy.exposing(facts_of(stage), endpoint, lab.members)
        carry_out(actions, stage, notes.during("expose"))
        lab.host.exposed()
    workers = replace(joining, own=lab.scenario.load.workers)
    if workers.others:
        workers = replace(workers, address=joining.address or lab.host.client_address)
        phases.progress.demand(_invitation(workers))
    shared = workers.own > 1 or workers.others > 0 or lab.host.apart
    with phases("generator", "load generator", f"{workers.number} workers" if shared else ""):
        versions = {"kernel": lab.host.kernel} | _versions(stage, lab.strategy) | lab.engine.versions()
        lab.driver.wait_ready()
        versions |= lab.driver.versions
        if shared:
            lab.driver.gather(workers, phases.progress.demand)
    return Exposed(lab, stage, endpoint, notes, versions, analysis)


def _invitation(workers: Workers) -> str:
    """Give the command that joins, with the secret of this run."""
    everywhere = workers.address in {IPV4.unspecified, IPV6.unspecified, "*"}
    where = f"ADDRESS:{workers.port}" if everywhere else authority(workers.address, workers.port)
    hint = ", with the address under which they reach this run" if everywhere else ""
    return (
        f"waiting for {workers.others} to join from elsewhere: "
        f"harness worker --join {where} --secret {workers.secret}{hint}"
    )


def _versions(host: Host, strategy: Strategy) -> dict[str, str]:
    versions = {"harness": __version__, "python": platform.python_version()}
    for part, argv in strategy.versions.items():
        versions[part] = host.run(argv).stdout.strip()
    return versions

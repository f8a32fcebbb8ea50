"""The scenario file: YAML in, frozen models out, every mistake with its place.

In: a YAML file and overrides; out: a frozen scenario, or errors with line and column.

source.py      text -> plain data, and the place of each piece
overrides.py   --set KEY=VALUE
quantities.py  10s, 200/s, 10%
fields.py      the types of values
base.py        what all models have in common
model.py       the model of a scenario, of these parts:
application.py what instances run, and what they may use
load.py        the load profile
routes.py      several applications behind the one port
events.py      what happens to instances
recovers.py    what it may cost
script.py      which instances come and go when
reading.py     `load_scenario`
problems.py    what validation finds, in words
schema.py      the JSON Schema, for editors
"""

from harness.scenario.application import Application, Identity, Limits, Resources
from harness.scenario.events import Event
from harness.scenario.load import Load
from harness.scenario.model import Scenario, StrategyChoice
from harness.scenario.reading import load_scenario

__all__ = [
    "Application",
    "Event",
    "Identity",
    "Limits",
    "Load",
    "Resources",
    "Scenario",
    "StrategyChoice",
    "load_scenario",
]

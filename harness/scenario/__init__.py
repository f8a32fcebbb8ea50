"""The scenario file: YAML in, frozen models out, every mistake with its place.

source.py      text -> plain data, and the place of each piece
overrides.py   --set KEY=VALUE
quantities.py  10s, 200/s, 10%
fields.py      the types of values
base.py        what all models have in common
model.py       the models
events.py      those of what happens to instances
script.py      what they amount to: who comes and goes when
reading.py     `load_scenario`
problems.py    what validation finds, in words
schema.py      the JSON Schema, for editors
"""

from harness.scenario.events import Event
from harness.scenario.model import (
    Application,
    Identity,
    Limits,
    Load,
    Resources,
    Scenario,
    StrategyChoice,
)
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

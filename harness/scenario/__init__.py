"""The scenario file: YAML in, frozen models out, every mistake with its place.

source.py      text -> plain data, and the place of each piece
overrides.py   --set KEY=VALUE
quantities.py  10s, 200/s, 10%
fields.py      the types of values
model.py       the models
reading.py     `load_scenario`
problems.py    what validation finds, in words
schema.py      the JSON Schema, for editors
"""

from harness.scenario.model import (
    Application,
    Event,
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

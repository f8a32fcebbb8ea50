"""The plan: what a run would set up, and how many units a verdict takes.

In: a scenario; out: actions as data, and numbers of units.
"""

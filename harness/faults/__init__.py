"""Faults: what happens to instances while the load runs, planned and applied.

In: a scenario's planned faults and an engine; out: fault events, with their times.
"""

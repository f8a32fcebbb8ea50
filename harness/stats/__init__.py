"""Pure functions of statistics, which know no file, host or load.

In: counts and arrays; out: numbers and verdicts.
"""

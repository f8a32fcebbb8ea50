"""The regression check: whether a stored result passes, and whether it is what it was.

In: results and a baseline; out: checks with a verdict each.
"""

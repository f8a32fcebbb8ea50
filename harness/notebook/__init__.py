"""Results in Python, for notebooks and scripts: what `harness.load_results` and `harness.run` give.

In: folders of results, or a scenario; out: results as objects, tables and plots.

library.py   from a path to results; many of them, filtered and in one table
result.py    one of them
frames.py    their tables
columns.py   what every column of the tables means
pages.py     how they look in a notebook
plotting.py  their plots
running.py   a run, started from Python
"""

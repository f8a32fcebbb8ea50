"""The analysis: from a recording to the summary of a run.

In: a recording, counters, fault events and the scenario; out: test results, verdict and summary.
"""

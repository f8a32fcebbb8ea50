"""One run of a scenario: the only package that knows the whole sentence.

In: a scenario; out: a result's folder and its summary.
"""

"""The documents of a result: what summary.json and a suite's summary hold.

In: JSON, or the values that the analysis computed; out: frozen models of them, and JSON.
"""

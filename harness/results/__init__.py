"""The results folder: written whole or not at all, listed, read and archived.

In: a run's summary, recording, journal and plots; out: a folder below results/, and what it holds.
"""

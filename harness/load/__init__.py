"""The load: a profile, Locust users that record every request, and their processes.

In: a load profile and an endpoint; out: packed records and how busy the generator was.
"""

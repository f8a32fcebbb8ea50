"""Scenario files as tests: ``pytest --harness scenarios/``."""

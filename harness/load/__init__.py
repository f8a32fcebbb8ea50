"""The load: a profile, Locust users that record every request, and the process they run in."""

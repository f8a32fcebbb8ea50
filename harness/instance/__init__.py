"""The sample application.

In: requests on its port; out: answers that name the instance, and counts in shared memory.
"""

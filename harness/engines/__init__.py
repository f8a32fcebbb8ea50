"""What runs an instance on a host, by name."""

from __future__ import annotations

ENGINES = {"process": "a process in network and host-name namespaces of its own"}

"""sameport: measures every way to put N containers on one port of one Linux machine."""

__version__ = "0.1.0"

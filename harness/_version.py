"""The version, which every layer may import without importing the package's face."""

__version__ = "0.1.0"

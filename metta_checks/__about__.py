"""The version: the only place where it stands."""

__version__ = "1.0.0"

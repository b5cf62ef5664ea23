"""The evaluation health check: what evaluation suites published about themselves."""

from metta_checks.__about__ import __version__

__all__ = ["__version__"]

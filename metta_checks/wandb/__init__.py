"""The Weights & Biases check: what a project's runs do, run by run."""

from metta_checks.__about__ import __version__

__all__ = ["__version__"]

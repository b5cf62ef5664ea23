"""The `metta_ci` check: GitHub workflow runs and merged pull requests as figures and verdicts."""

from metta_checks.__about__ import __version__

__all__ = ["__version__"]

# Generated from metta_checks/checks.py by .ci/generate; do not edit.
"""What the Agent loads: one check class and its version."""

from metta_checks.ci import __version__
from metta_checks.ci.check import CiCheck

__all__ = ["CiCheck", "__version__"]

# Generated from metta_checks/checks.py by .ci/generate; do not edit.
"""What the Agent loads: one check class and its version."""

from metta_checks.training import __version__
from metta_checks.training.check import TrainingCheck

__all__ = ["TrainingCheck", "__version__"]

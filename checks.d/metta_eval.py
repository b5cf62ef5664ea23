# Generated from metta_checks/checks.py by .ci/generate; do not edit.
"""What the Agent loads: one check class and its version."""

from metta_checks.eval import __version__
from metta_checks.eval.check import EvalCheck

__all__ = ["EvalCheck", "__version__"]

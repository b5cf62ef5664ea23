# Generated from metta_checks/checks.py by .ci/generate; do not edit.
"""What the Agent loads: one check class and its version."""

from metta_checks.wandb import __version__
from metta_checks.wandb.check import WandbCheck

__all__ = ["WandbCheck", "__version__"]

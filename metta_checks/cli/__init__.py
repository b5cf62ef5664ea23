"""The metta-checks command."""

from metta_checks.cli.main import main

__all__ = ["main"]

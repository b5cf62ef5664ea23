"""Rules for options that spec.yaml cannot state: those of every health check."""

from metta_checks.health.settings import instance_max_age, instance_source

__all__ = ["instance_max_age", "instance_source"]

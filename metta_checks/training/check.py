"""The check metta_training: what training suites published about themselves."""

from __future__ import annotations

from typing import ClassVar

from metta_checks.core.environment import Variable, Variables
from metta_checks.health.check import HealthCheck
from metta_checks.training.definition import ORIGIN


class TrainingCheck(HealthCheck):
    """Submits the health records of training suites, and their verdicts."""

    VARIABLES: ClassVar[Variables] = {"source": Variable("TRAINING_HEALTH_FILE")}

    ORIGIN = ORIGIN

"""The check metta_eval: what evaluation suites published about themselves."""

from __future__ import annotations

from typing import ClassVar

from metta_checks.core.environment import Variable, Variables
from metta_checks.eval.definition import ORIGIN
from metta_checks.health.check import HealthCheck


class EvalCheck(HealthCheck):
    """Submits the health records of evaluation suites, and their verdicts."""

    VARIABLES: ClassVar[Variables] = {"source": Variable("EVAL_HEALTH_FILE")}

    ORIGIN = ORIGIN

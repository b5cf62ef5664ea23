# Generated from metta_checks/checks.py by .ci/generate; do not edit.
"""The suites of health records: those of the checks that read them.

Pipelines publish without the list of checks, which stands above this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metta_checks.core.definition import RecordOrigin

ORIGINS: Final[Mapping[str, RecordOrigin]] = {
    "training": RecordOrigin(namespace='metta.infra.stablesuite', source='stable_suite', workflow_category='training'),
    "eval": RecordOrigin(namespace='metta.infra.cron', source='cron', workflow_category='evaluation'),
}
"""By the name of the suite, which is the slug of its check."""

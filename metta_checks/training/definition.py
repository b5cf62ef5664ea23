"""What the rest of the product needs to know of metta_training."""

from __future__ import annotations

from typing import Final

from metta_checks.core.definition import CheckDefinition, RecordOrigin

ORIGIN: Final = RecordOrigin(namespace="metta.infra.stablesuite", source="stable_suite", workflow_category="training")

DEFINITION: Final = CheckDefinition(
    slug="training",
    class_path="metta_checks.training.check.TrainingCheck",
    description="Health records that training suites publish",
    variables=("TRAINING_HEALTH_FILE",),
    cost_path="metta_checks.health.definition.FORMULA",
    tags_path="metta_checks.health.definition.metric_tags",
    example=lambda sandbox: {"source": str(sandbox.folder / "training.json")},
    path_options=("source",),
    records=ORIGIN,
    counts=frozenset({"metta.infra.health.data_missing"}),
    shares=frozenset({"metta.infra.health.status"}),
)

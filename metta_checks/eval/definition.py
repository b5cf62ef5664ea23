"""What the rest of the product needs to know of metta_eval."""

from __future__ import annotations

from typing import Final

from metta_checks.core.definition import CheckDefinition, RecordOrigin

ORIGIN: Final = RecordOrigin(namespace="metta.infra.cron", source="cron", workflow_category="evaluation")

DEFINITION: Final = CheckDefinition(
    slug="eval",
    class_path="metta_checks.eval.check.EvalCheck",
    description="Health records that evaluation suites publish",
    variables=("EVAL_HEALTH_FILE",),
    cost_path="metta_checks.health.definition.FORMULA",
    tags_path="metta_checks.health.definition.metric_tags",
    example=lambda sandbox: {"source": str(sandbox.folder / "eval.json")},
    path_options=("source",),
    records=ORIGIN,
    counts=frozenset({"metta.infra.health.data_missing"}),
    shares=frozenset({"metta.infra.health.status"}),
)

"""What the rest of the product needs to know of metta_wandb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from metta_checks.core.definition import CheckDefinition, Sandbox


def _example(sandbox: Sandbox) -> Mapping[str, Any]:
    server = sandbox.servers["wandb"]
    return {
        "entity": server.names["entity"],
        "project": server.names["project"],
        "base_url": server.url,
        "api_key": server.credential,
    }


DEFINITION: Final = CheckDefinition(
    slug="wandb",
    class_path="metta_checks.wandb.check.WandbCheck",
    credential_hint="your own key is on the user settings page of W&B. The check does not read ~/.netrc, where "
    "`wandb login` stores the key: copy it from there",
    description="Weights & Biases runs: counts, duration, speed, metrics, machines",
    variables=("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_API_KEY"),
    cost_path="metta_checks.wandb.cost.FORMULA",
    tags_path="metta_checks.wandb.tag_sets.metric_tags",
    example=_example,
    identity_tags=("wandb_entity", "wandb_project"),
    counts=frozenset({"wandb.runs", "wandb.gpus_in_use"}),
    shares=frozenset({"wandb.run.system"}),
)

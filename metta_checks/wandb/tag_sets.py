"""Under which tags metta_wandb submits its metrics, in its default configuration."""

from __future__ import annotations

from metta_checks.core.definition import CheckDefinition, MetricTags, TagSet
from metta_checks.core.tag_sets import any_value
from metta_checks.wandb.api_models import LABELS
from metta_checks.wandb.blobs import SYSTEM_KEYS
from metta_checks.wandb.config_models import defaults
from metta_checks.wandb.models import EVERYTHING_ELSE, STATES, UNENDED_STATES, RunState


def metric_tags(definition: CheckDefinition) -> MetricTags:
    """The tag sets of every metric below `wandb.`."""
    types = frozenset({*(entry["name"] for entry in defaults.instance_run_types()), EVERYTHING_ELSE})
    counted: TagSet = {**any_value(definition.identity_tags), "run_type": types, "state": frozenset(RunState)}
    run: TagSet = {**counted, **any_value(("run_id", "run_name")), **any_value(key for key, _ in LABELS.values())}
    metric_name: TagSet = {"metric_name": frozenset(defaults.instance_metrics())}
    by_type: TagSet = {**any_value(definition.identity_tags), "run_type": types}
    outcomes = frozenset(name for name in STATES if name not in UNENDED_STATES)
    return {
        "wandb.runs": ({**counted, "timeframe": frozenset({defaults.instance_timeframe()})},),
        "wandb.run.duration_hours": (run,),
        "wandb.run.sps": (run,),
        "wandb.run.metric": ({**run, **metric_name},),
        "wandb.run.system": ({**run, "metric": frozenset(SYSTEM_KEYS)},),
        "wandb.run.log_age_seconds": ({**run, "state": frozenset({RunState.RUNNING})},),
        "wandb.run.completed.duration_hours": (counted,),
        "wandb.run.completed.sps": (counted,),
        "wandb.run.completed.gpu_hours": (
            {**by_type, "outcome": outcomes, **any_value(key for key, _ in LABELS.values())},
        ),
        "wandb.gpus_in_use": (by_type,),
        "wandb.run.completed.metric": ({**counted, **metric_name},),
    }

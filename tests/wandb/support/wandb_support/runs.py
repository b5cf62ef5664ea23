"""A run as the check has it."""

from __future__ import annotations

from datetime import timedelta

from wandb_support.watch import START

from metta_checks.wandb.models import Run, RunState

RUN = Run(
    id="3x5ezzw0",
    name="github.sky.main",
    state=RunState.RUNNING,
    wandb_state="running",
    created_at=START - timedelta(hours=6),
    heartbeat_at=START - timedelta(seconds=30),
    logged_at=None,
    run_type="train",
    sps=None,
    metrics={},
    system={},
    gpus=0.0,
    compute_seconds=None,
    labels=(),
    completed_labels=(),
    not_finite=0,
    invalid=(),
    unreadable=(),
)
"""A running one without figures; tests replace what they are about."""

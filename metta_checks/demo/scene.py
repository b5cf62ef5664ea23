"""The demo's stage: one instance of each check, and the loopback servers behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from metta_checks.core.clock import utcnow
from metta_checks.demo.wandb_project import sample_project
from metta_checks.demo.wandb_server import DEMO_API_KEY, WandbServer


@dataclass(frozen=True, slots=True)
class Scene:
    """`instances` holds, by slug, the options with which a check runs against the sample data."""

    instances: Mapping[str, Mapping[str, Any]]


@contextmanager
def scene() -> Iterator[Scene]:
    """Servers with sample data for as long as the block lasts."""
    project = sample_project(utcnow())
    with WandbServer(project) as wandb:
        yield Scene(
            {
                "wandb": {
                    "entity": project.entity,
                    "project": project.name,
                    "base_url": wandb.url,
                    "api_key": DEMO_API_KEY,
                    # A proxy of the environment does not know this machine's loopback.
                    "skip_proxy": True,
                    "tags": ["env:demo", "team:research"],
                }
            }
        )

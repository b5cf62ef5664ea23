"""Which checks there are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Final

from metta_checks.core import MettaCheck


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """One check: what the command calls it, where its class is, and what it watches.

    `variables` are the environment variables that are enough to run it without a configuration file. `paths` are the
    options that may name a local file.
    """

    slug: str
    class_path: str
    watches: str
    variables: tuple[str, ...]
    paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name by which the Agent knows the check."""
        return f"metta_{self.slug}"

    def check_class(self) -> type[MettaCheck]:
        """The class, imported now: a check is not loaded to list it."""
        module, _, attribute = self.class_path.rpartition(".")
        found: type[MettaCheck] = getattr(import_module(module), attribute)
        return found


CHECKS: Final = (
    CheckEntry(
        "wandb",
        "metta_checks.wandb.check.WandbCheck",
        "Weights & Biases runs: counts, duration, speed, metrics, machines",
        ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_API_KEY"),
    ),
    CheckEntry(
        "ci",
        "metta_checks.ci.check.CiCheck",
        "GitHub CI: workflow health, flaky and cancelled runs, weekly labels",
        ("GITHUB_REPOSITORY", "GITHUB_TOKEN"),
    ),
    CheckEntry(
        "training",
        "metta_checks.training.check.TrainingCheck",
        "Health records that training suites publish",
        ("TRAINING_HEALTH_FILE",),
        paths=("source",),
    ),
    CheckEntry(
        "eval",
        "metta_checks.eval.check.EvalCheck",
        "Health records that evaluation suites publish",
        ("EVAL_HEALTH_FILE",),
        paths=("source",),
    ),
)


def check_entry(slug_or_name: str) -> CheckEntry:
    """The check called so. Raises KeyError, with the names there are, for an unknown one."""
    for entry in CHECKS:
        if slug_or_name in {entry.slug, entry.name}:
            return entry
    known = ", ".join(entry.slug for entry in CHECKS)
    raise KeyError(f"there is no check {slug_or_name!r}; the checks are {known}")

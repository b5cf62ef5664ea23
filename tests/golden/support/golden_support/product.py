"""The only module here that imports the product: how a check is made and looked at. A rebuild may change this file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from datadog_checks.base import AgentCheck

CLASSES: Final[Mapping[str, str]] = {
    "metta_wandb": "metta_checks.wandb.check:WandbCheck",
    "metta_ci": "metta_checks.ci.check:CiCheck",
    "metta_training": "metta_checks.training.check:TrainingCheck",
    "metta_eval": "metta_checks.eval.check:EvalCheck",
}

ROOT: Final = Path(__file__).parents[4]


class Probe:
    """A check as the Agent would make it. `error` is what ended the latest collection, None where nothing did."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        module, _, class_name = CLASSES[name].partition(":")
        # Without a token of its own an instance reads only from a server that the operator names.
        shared = {option: options[option] for option in ("api_url",) if option in options}
        self.check: AgentCheck = getattr(import_module(module), class_name)(name, shared, [dict(options)])
        self.check.check_id = f"{name}:golden"
        self.error: Exception | None = None
        self._run = self.check.check
        self.check.check = self._observed  # type: ignore[method-assign]

    def collect(self, now: datetime) -> list[str]:
        """One run at `now`. Returns the warnings."""
        self.error = None
        self.check.clock = lambda: now  # type: ignore[attr-defined]
        report = self.check.run()
        if report and self.error is None:
            # It failed outside of `check`, in an initialization.
            self.error = RuntimeError(report)
        return list(self.check.get_warnings())

    def _observed(self, instance: Any) -> None:
        try:
            self._run(instance)
        except Exception as error:
            self.error = error
            raise


def error_kind(error: Exception) -> str:
    """What a failure is called: the kind of a source's error, else the class."""
    return f"{type(error).__name__}: {getattr(error, 'kind', '')}".rstrip(": ")


def error_kinds() -> list[str]:
    """All kinds of source errors, as warnings write them: of what a server answers, and of a file."""
    with suppress(ImportError):
        kinds = [str(kind) for kind in import_module("metta_checks.core.errors").Kind]
        return list(dict.fromkeys(text for kind in kinds for text in (kind, kind.replace("response", "file"))))
    return []


def option_names(name: str) -> list[str]:
    """The options of a check, as its example lists them."""
    text = (ROOT / "conf.d" / f"{name}.d" / "conf.yaml.example").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"^[ #-]*([a-z_]+):", text, re.MULTILINE)))

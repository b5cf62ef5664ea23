"""Rules for options that spec.yaml cannot state."""

from __future__ import annotations

from typing import Any


def instance_run_types(value: Any, *, field: Any) -> Any:  # noqa: ARG001 (the signature that the models call)
    """A mapping of name and pattern counts as the list that it abbreviates, in the order that it arrives in."""
    if not isinstance(value, dict):
        return value
    return [{"name": name, "pattern": pattern} for name, pattern in value.items()]

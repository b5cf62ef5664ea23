"""What an operator meant by an option that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Final

from metta_checks.checks import CHECKS
from metta_checks.core.definition import CheckDefinition

FILE_KEYS: Final = frozenset(
    {
        "ad_identifiers",
        "advanced_ad_identifiers",
        "cel_selector",
        "check_tag_cardinality",
        "cluster_check",
        "discovery",
        "docker_images",
        "ignore_autodiscovery_tags",
        "init_config",
        "instances",
        "jmx_metrics",
        "logs",
    }
)
"""What the Agent itself reads at the top of a configuration file."""

AGENT_OPTIONS: Final = frozenset(
    {"debug_metrics", "loader", "max_returned_metrics", "name", "namespace", "no_index", "process_isolation"}
)
"""Options of an instance that the Agent or the base class of all checks reads, and no model knows."""

SIMILAR: Final = 0.7
"""How alike two names have to be for one to be a slip of the other."""


@dataclass(frozen=True, slots=True)
class Options:
    """The names of a check's options: of an instance, and of `init_config`."""

    instance: frozenset[str]
    shared: frozenset[str]


@cache
def options_of(definition: CheckDefinition) -> Options:
    """The options that the check's generated models know."""
    models = import_module(f"{definition.package}.config_models")
    return Options(_names(models.InstanceConfig), _names(models.SharedConfig))


def hint_for_file_key(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` at the top of a file."""
    if key in options_of(definition).instance:
        return "the Agent does not read it here; it belongs into each entry of `instances`"
    return f"the Agent does not read it{_did_you_mean(key, FILE_KEYS)}"


def hint_for_shared(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` in `init_config`."""
    options = options_of(definition)
    if key in options.instance:
        return "it has no effect in `init_config`; it belongs into each entry of `instances`"
    if key in FILE_KEYS:
        return "it has no effect in `init_config`; it belongs to the top of the file"
    return f"there is no such option{_did_you_mean(key, options.shared)}"


def hint_for_instance(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` in an instance."""
    options = options_of(definition)
    if key in FILE_KEYS:
        return "it has no effect in an instance; it belongs to the top of the file"
    if key in options.shared:
        return "it has no effect in an instance; it belongs into `init_config`"
    if meant := _did_you_mean(key, options.instance | AGENT_OPTIONS):
        return f"there is no such option{meant}"
    others = [other.name for other in CHECKS if other != definition and key in options_of(other).instance]
    return (
        f"{definition.name} has no such option; it is one of {', '.join(others)}"
        if others
        else "there is no such option"
    )


def meant_check(name: str) -> CheckDefinition | None:
    """The check that a folder or file called `name` was probably meant for; None when it is another integration's."""
    by_name: dict[str, CheckDefinition] = {}
    for definition in CHECKS:
        by_name |= dict.fromkeys((definition.name, definition.slug, definition.name.replace("_", "-")), definition)
    close = get_close_matches(name.lower(), [definition.name for definition in CHECKS], n=1, cutoff=0.85)
    return by_name.get(name.lower()) or (by_name[close[0]] if close else None)


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    lowered = key.lower().replace("-", "_")
    close = get_close_matches(lowered, list(known), n=2, cutoff=SIMILAR)
    return f"; did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else ""


def _names(model: type) -> frozenset[str]:
    fields: dict[str, object] = getattr(model, "model_fields", {})
    return frozenset(fields)

"""What an operator meant by an option that is not there."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from metta_checks.checks import CHECKS
from metta_checks.core.agent_options import AGENT_OPTIONS
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.unknown_options import did_you_mean, option_names

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


def hint_for_file_key(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` at the top of a file."""
    if key in option_names(definition.package).instance:
        return "the Agent does not read it here; it belongs in each entry of `instances`"
    return f"the Agent does not read it{did_you_mean(key, FILE_KEYS)}"


def hint_for_shared(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` in `init_config`."""
    options = option_names(definition.package)
    if key in options.instance:
        return "it has no effect in `init_config`; it belongs in each entry of `instances`"
    if key in FILE_KEYS:
        return "it has no effect in `init_config`; it belongs at the top of the file"
    return f"there is no such option{did_you_mean(key, options.shared)}"


def hint_for_instance(key: str, definition: CheckDefinition) -> str:
    """What to do with an unknown `key` in an instance."""
    options = option_names(definition.package)
    if key in FILE_KEYS:
        return "it has no effect in an instance; it belongs at the top of the file"
    if key in options.shared and key not in options.instance:
        return "it has no effect in an instance; it belongs in `init_config`"
    if meant := did_you_mean(key, options.instance | AGENT_OPTIONS):
        return f"there is no such option{meant}"
    others = [other.name for other in CHECKS if other != definition and key in option_names(other.package).instance]
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

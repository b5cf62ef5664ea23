"""The options that the Agent and its base class read by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from metta_checks.core.option_errors import OptionError
from metta_checks.core.tags import tag

AGENT_INTERVAL: Final = 15
"""Seconds between collections where `min_collection_interval` is not set: the Agent's default."""


AGENT_OPTIONS: Final = frozenset(
    {"debug_metrics", "loader", "max_returned_metrics", "name", "namespace", "no_index", "process_isolation"}
)
"""Options of an instance that the Agent or the base class of all checks reads, and no model has."""


def agent_tags(instance: Mapping[str, Any], init_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags that the Agent itself puts on every series: `service:`, from the instance, else from `init_config`."""
    service = instance.get("service") or init_config.get("service")
    return (tag("service", service),) if service else ()


def require_timeouts(instance: Mapping[str, Any], init_config: Mapping[str, Any]) -> None:
    """Raises ConfigurationError, which names the option, for a timeout with which no request can be sent.

    The options are what their models took. Of `init_config` the base class reads no other timeout than this one.
    """
    places = [(option, instance.get(option), "") for option in ("timeout", "connect_timeout", "read_timeout")]
    places.append(("timeout", init_config.get("timeout"), "in `init_config` "))
    for option, seconds, place in places:
        if seconds is not None and not float(seconds) > 0:
            raise OptionError(option, f"{place}is {float(seconds):g}: it must be more than 0 seconds")

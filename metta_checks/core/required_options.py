"""The options that the base class reads of every instance, so that every check's spec.yaml has to have them.

`core/options.yaml` is a template with all of them. `.ci/generate` refuses a specification without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

SIZE_LIMITS: Final = ("max_response_bytes", "max_bytes")
"""The options that limit the bytes of one response; a check has one of them."""


@dataclass(frozen=True, slots=True)
class RequiredOption:
    """One option, under one of `names`, and what it is for.

    With `default` the base class relies on a value. With `active` the example configuration sets the option: the Agent
    reads it from the YAML itself, so that a default in the model has no effect.
    """

    names: tuple[str, ...]
    reason: str
    default: bool = False
    active: bool = False


REQUIRED: Final = (
    RequiredOption(("collection_timeout",), "it limits the seconds of a collection", default=True),
    RequiredOption(SIZE_LIMITS, "it limits the bytes of one response", default=True),
    RequiredOption(
        ("min_collection_interval",), "the Agent schedules by it, and telemetry calls a target late by it", active=True
    ),
    RequiredOption(
        ("empty_default_hostname",), "figures about a source do not belong to the host that read them", active=True
    ),
    RequiredOption(("tags",), "every sample carries them"),
    RequiredOption(("service",), "the Agent adds it as a tag to every sample"),
)


def missing_options(options: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What the instance options of a resolved spec.yaml lack, one sentence for each required option.

    Each option is a mapping with `name`, `enabled` and `value`, as Datadog's `ConfigSpec` resolves them.
    """
    by_name = {option["name"]: option for option in options}
    for required in REQUIRED:
        names = " or ".join(f"`{name}`" for name in required.names)
        option = next((by_name[name] for name in required.names if name in by_name), None)
        if option is None:
            problem = "is missing"
        elif required.active and not (option.get("enabled") and option["value"].get("example")):
            problem = "needs `enabled: true` and a `value.example`"
        elif required.default and option["value"].get("example") is None:
            problem = "needs a `value.example`, which is its default"
        else:
            continue
        yield f"the instance option {names} {problem}: {required.reason}. The template `core/options` has it."

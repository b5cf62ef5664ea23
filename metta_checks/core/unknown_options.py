"""Options that no check has, and what was meant by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, Final

from metta_checks.core.agent_options import AGENT_OPTIONS
from metta_checks.core.printable import printable

SIMILAR: Final = 0.7
"""How alike two names have to be for one to be a slip of the other."""

LONGEST: Final = 50
"""Characters from which on a name is no slip, and is shown cut."""


@dataclass(frozen=True, slots=True)
class OptionNames:
    """The names of a check's options: of an instance, and of `init_config`."""

    instance: Set[str]
    shared: Set[str]


@cache
def option_names(package: str) -> OptionNames:
    """The options that the generated models of the check in `package` have, such as `metta_checks.wandb`."""
    models = import_module(f"{package}.config_models")
    return OptionNames(_fields(models.InstanceConfig), _fields(models.SharedConfig))


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the options of which `key` may be a slip; empty where there are none."""
    if len(key) > LONGEST:
        return ""
    lowered = key.lower().replace("-", "_").replace(" ", "_")
    close = get_close_matches(lowered, sorted(known), n=2, cutoff=SIMILAR)
    if lowered in close:
        close = [lowered]
    return f"; did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else ""


def unknown_options(names: OptionNames, instance: Mapping[Any, Any], shared: Mapping[Any, Any]) -> Iterator[str]:
    """A sentence for each option that has no effect: of the instance, then of `init_config`."""
    for given, known, more, place in (
        (instance, names.instance, AGENT_OPTIONS, ""),
        (shared, names.shared, AGENT_OPTIONS | {"service"}, " in `init_config`"),
    ):
        for key in given:
            if key not in known and key not in more:
                meant = did_you_mean(str(key), known | more)
                yield f"`{printable(str(key), LONGEST)}`{place}: there is no such option, so it has no effect{meant}"


def _fields(model: Any) -> frozenset[str]:
    return frozenset(model.model_fields)

"""Options that no check has, and what was meant by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, Final, get_args

from metta_checks.core.agent_options import AGENT_OPTIONS
from metta_checks.core.printable import printable

SIMILAR: Final = 0.7
"""How alike two names have to be for one to be a slip of the other."""

SHORTEST_WORD: Final = 3
"""Characters that a word has by which an option is found."""

MOST_MEANT: Final = 3
"""Options that are named as what may be meant."""

LONGEST: Final = 50
"""Characters from which on a name is no slip, and is shown cut."""


@dataclass(frozen=True, slots=True)
class OptionNames:
    """The names of a check's options: of an instance, and of `init_config`."""

    instance: Set[str]
    shared: Set[str]
    below: Mapping[str, Set[str]]
    """The keys inside of an option of an instance whose value is a mapping, or a list of mappings, with fixed keys."""
    lists: Set[str]
    """Those of `below` that are lists."""

    def unknown_below(self, instance: Mapping[Any, Any]) -> Iterator[tuple[str, str, Set[str]]]:
        """The options, the keys inside of them that have no effect, and the keys that there are."""
        for option, known in self.below.items():
            value = instance.get(option)
            # What is a list by its model may be a mapping of another form, which the check itself reads.
            entries = value if option in self.lists else (value,)
            for entry in entries if isinstance(entries, list | tuple) else ():
                if isinstance(entry, Mapping):
                    yield from ((option, str(key), known) for key in entry if key not in known)


@cache
def option_names(package: str) -> OptionNames:
    """The options that the generated models of the check in `package` have, such as `metta_checks.wandb`."""
    models = import_module(f"{package}.config_models")
    below = {
        name: _fields(model)
        for name, field in models.InstanceConfig.model_fields.items()
        if (model := _model_in(field.annotation)) is not None
    }
    lists = {name for name in below if "tuple" in str(models.InstanceConfig.model_fields[name].annotation)}
    return OptionNames(_fields(models.InstanceConfig), _fields(models.SharedConfig), below, lists)


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the options of which `key` may be a slip; empty where there are none."""
    if len(key) > LONGEST:
        return ""
    lowered = key.lower().replace("-", "_").replace(" ", "_")
    names = sorted(known)
    # Of dotted names the last part is what is written.
    last = {name.rpartition(".")[2]: name for name in names}
    close = [last[name] for name in get_close_matches(lowered, list(last), n=2, cutoff=SIMILAR)]
    close = close or get_close_matches(lowered, names, n=2, cutoff=SIMILAR)
    if lowered in close:
        close = [lowered]
    close = close or _with_all_words(lowered, known) or _made_of_its_words(lowered, known)
    return f"; did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else ""


def _with_all_words(key: str, known: Iterable[str]) -> list[str]:
    """The names that have every word of `key`, or a longer one for it; none where that is no hint but a list."""
    words = [word for word in key.split("_") if len(word) >= SHORTEST_WORD]
    found = [
        name for name in sorted(known) if words and all(any(p.startswith(w) for p in name.split("_")) for w in words)
    ]
    return found if len(found) <= MOST_MEANT else []


def _made_of_its_words(key: str, known: Iterable[str]) -> list[str]:
    """The names that have no word but those of `key`: `conditions` for `reverts_condition`; none where that is no hint
    but a list. A dotted name counts by its last part."""
    words = [word for word in key.replace(".", "_").split("_") if len(word) >= SHORTEST_WORD]
    found = [
        name
        for name in sorted(known)
        if all(any(part.startswith(word) for word in words) for part in name.rpartition(".")[2].split("_"))
    ]
    return found if len(found) <= MOST_MEANT else []


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
    for option, key, known in names.unknown_below(instance):
        meant = did_you_mean(key, known)
        yield f"`{printable(key, LONGEST)}` in `{option}`: there is no such key, so it has no effect{meant}"


def _model_in(annotation: Any) -> Any:
    """The model of a field that has one: bare, optional, or in a tuple."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)


def _fields(model: Any) -> frozenset[str]:
    return frozenset(model.model_fields)

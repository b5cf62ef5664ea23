"""What a check reports of its options: every fault, with the value that was found and the form to write."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import yaml
from datadog_checks.base import ConfigurationError
from pydantic import ValidationError

from metta_checks.cli.agent_config import Key, below, kind_of
from metta_checks.cli.agent_types import (
    REFUSED_BY_BASE,
    as_list,
    as_text,
    found,
    may_show,
    pairs,
    seconds_of,
    split,
    type_name,
)
from metta_checks.cli.installation import EXAMPLE, example_interval
from metta_checks.cli.runner import new_check
from metta_checks.core.agent_options import AGENT_OPTIONS
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.option_errors import OptionError
from metta_checks.core.printable import printable
from metta_checks.core.unknown_options import did_you_mean, option_names

FILLER: Final = "x/x"
"""Stands in for a missing option while the others are looked at: it is a name, a path and a repository alike."""

NUMBER: Final = "1"
"""The same for an option that takes a number."""

ALTERNATIVES: Final = (frozenset({"project", "projects"}), frozenset({"repo", "repos", "organization"}))
"""Options of which one takes the place of another, or needs it."""

_WITHOUT: Final = re.compile(r"is set without `(\w+)`")
_NAMED: Final = re.compile(r"`(\w+)`")

MOST_FAULTS: Final = 100
"""Rounds for one instance: a configuration may be made to have endless faults."""

MOST_ENTRIES: Final = 100
"""Entries of one option that are tried one by one."""

_IN_SECONDS: Final = ("interval", "timeout", "seconds", "projects", "repos")
"""How the names of options end that take seconds; `projects` and `repos` have an `interval` each."""

_UNITS: Final = "wdhms"
_SENSITIVE: Final = re.compile(
    r"(?:api|private)_key|token|password|secret|headers?|proxy|auth|url|source", re.IGNORECASE
)
_HARMLESS: Final = re.compile(r"[\w.:*+<>=-][\w ./:*+<>=-]{0,60}")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with `option`, None where none is to blame. `place` is where in the instance, the option first."""

    option: str | None
    text: str
    place: tuple[Key, ...] = ()


def faults_of_instance(
    definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any], node: yaml.Node | None = None
) -> Iterator[Fault]:
    """Every fault that the check itself reports of `given`, which stands at `node` in the file.

    A check stops at the first option that it cannot use. So what is at fault is taken out, or filled in where it is
    missing, and the rest is tried again. An option that was reported is not reported a second time as missing.
    """
    trial: dict[Any, Any] = dict(given)
    reported: set[str | None] = set()
    for _ in range(MOST_FAULTS):
        report = _load(definition, shared, trial)
        faults = _plain_faults(report, definition, shared, trial, node)
        if not faults:
            return
        # A list that was reported keeps its sound entries, which may have faults that the model does not see.
        new = [fault for fault in faults if fault.option not in reported or isinstance(trial.get(fault.option), list)]
        # Where `projects` was put aside, `project` is not missing.
        yield from (
            fault
            for fault in new
            if given.get(str(fault.option)) is not None
            or (f"{fault.option}s" not in given and str(fault.option) not in replaced_by(given, definition))
            if not ((other := _WITHOUT.match(fault.text)) and other[1] in given)
        )
        reported |= {fault.option for fault in faults}
        put_aside = [_put_aside(fault, trial) for fault in _last_entries_first(faults)]
        if not all(put_aside):
            return


def replaced_by(given: Mapping[Any, Any], definition: CheckDefinition) -> set[str]:
    """The options that are not missing, since an unknown one of `given` is a slip of them or of an alternative."""
    names = option_names(definition.package)
    unknown = [str(key) for key in given if key not in names.instance | AGENT_OPTIONS]
    meant = {option for key in unknown for option in _NAMED.findall(did_you_mean(key, names.instance))}
    meant |= {option for key in unknown if (option := parent_of(key, given, definition))}
    return {option for group in ALTERNATIVES for option in group if meant & group}


def parent_of(key: str, given: Mapping[Any, Any], definition: CheckDefinition) -> str | None:
    """The option below which `key` belongs, where that stands empty beside it."""
    below_options = option_names(definition.package).below.items()
    return next((option for option, keys in below_options if key in keys and given.get(option, key) is None), None)


def faults_of_model(
    definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any], node: yaml.Node | None, model: str
) -> list[Fault]:
    """What the generated `model` refuses of the options; none where the fault is another one's."""
    report = _load(definition, shared, given)
    if isinstance(report, ValidationError) and report.title == model:
        return _plain_faults(report, definition, shared, shared, node)
    return []


class _NotBuiltError(Exception):
    """The constructor refuses the options, so that the Agent has no check to run."""


def _load(definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]) -> Exception | None:
    """What the check raises when it loads these options: a ValidationError where a generated model refused them, a
    NotBuiltError where the base class refuses to make it."""
    try:
        check = new_check(definition, shared, given)
    except Exception as error:
        return _NotBuiltError(f" ({error})" if isinstance(error, ConfigurationError) else "")
    try:
        check.load_options()
    except OptionError as error:
        return error
    except ConfigurationError as error:
        # The base class raises it in place of the model's own error, which has the places apart.
        return error.__context__ if isinstance(error.__context__, ValidationError) else error
    except Exception as error:
        return error
    return None


def _plain_faults(
    report: Exception | None,
    definition: CheckDefinition,
    shared: Mapping[str, Any],
    given: Mapping[str, Any],
    node: yaml.Node | None,
) -> list[Fault]:
    match report:
        case None:
            return []
        case ValidationError():
            trial = _Trial(definition, shared, given, node)
            errors = report.errors(include_url=False)
            return list(dict.fromkeys(trial.fault(error) for error in errors))
        case _NotBuiltError():
            blamed = _blamed_for_constructor(definition, shared, given)
            return [
                Fault(
                    blamed,
                    f"cannot be used in this form{report}: look at its type in {EXAMPLE}. {REFUSED_BY_BASE}",
                    (blamed,) if blamed else (),
                )
            ]
        case OptionError():
            own = Fault(report.option, report.problem, (report.option,))
            entries = _faults_of_entries(report, definition, shared, given)
            return entries or [_with_origin(own, definition, given)]
        case ConfigurationError():
            # One of the base class's own, which names the option.
            named = (option for option in option_names(definition.package).instance if f"`{option}`" in str(report))
            return [Fault(next(named, None), str(report))]
        case _:
            # The base class reads some options before it has looked at their types. The text may hold a value.
            return [Fault(None, f"the check cannot be made of it ({type(report).__name__}): look at the types")]


def _blamed_for_constructor(
    definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> str | None:
    """The option without which the check is made; None where no single one is to blame."""
    for option in given:
        rest = {name: value for name, value in given.items() if name != option}
        if not isinstance(_load(definition, shared, rest), _NotBuiltError):
            return str(option)
    return None


def _with_origin(fault: Fault, definition: CheckDefinition, given: Mapping[str, Any]) -> Fault:
    """The fault with what was found, and with the variable where the value comes from the environment."""
    option = str(fault.option)
    value = given.get(option)
    if value is None:
        variable = definition.check_class().VARIABLES.get(option)
        if variable is not None and os.environ.get(variable.name, "").strip():
            return Fault(option, f"{fault.text} (it is {variable.name} in the environment)", fault.place)
        return fault
    shown = str(value)
    known = isinstance(value, bool | list | dict) or shown in fault.text or not _is_harmless(option, shown)
    if known:
        return fault
    text = f"{fault.text} (it is `{shown}`)" if fault.text.startswith("is ") else f"is `{shown}`: {fault.text}"
    return Fault(option, text, fault.place)


def _faults_of_entries(
    report: OptionError, definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> list[Fault]:
    """The faults of the entries of one option, each tried alone; none where no single entry is at fault."""
    option, value = report.option, given.get(report.option)
    faults: dict[str, Fault] = {}
    for place, alone in list(_entries_alone(value))[:MOST_ENTRIES]:
        one = _load(definition, shared, {**given, option: alone})
        if isinstance(one, OptionError) and one.option == option:
            named = isinstance(place[0], int) or len(place) > 1 or place[0] in one.problem
            text = one.problem if named else f"`{place[0]}`: {one.problem}"
            faults.setdefault(one.problem, Fault(option, text, (option, *place)))
    return list(faults.values()) if report.problem in faults else []


def _entries_alone(value: Any) -> Iterator[tuple[tuple[Key, ...], Any]]:
    """The value once for each of its entries, with that one only."""
    if isinstance(value, list | tuple):
        yield from (((number,), [entry]) for number, entry in enumerate(value))
    elif isinstance(value, dict):
        for key, inside in value.items():
            if isinstance(inside, list):
                yield from (((key, number), {**value, key: [entry]}) for number, entry in enumerate(inside))
            else:
                yield (key,), {key: inside}


def _last_entries_first(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: [(isinstance(part, int), str(part)) for part in fault.place], reverse=True)


def _put_aside(fault: Fault, trial: dict[Any, Any]) -> bool:
    """Take what is at fault out of `trial`, or fill it in; False where that cannot be done."""
    option = fault.option
    if option is None or trial.get(option) == NUMBER:
        return False
    if trial.get(option) == FILLER:
        trial[option] = NUMBER
        return True
    value = trial.get(option)
    if isinstance(value, list) and len(fault.place) > 1:
        # The later entries are out already.
        trial[option] = [entry for number, entry in enumerate(value) if number != fault.place[1]]
        if trial[option]:
            return True
    if trial.pop(option, None) is None:
        trial[option] = FILLER
    return True


def _is_harmless(option: str, text: str) -> bool:
    """Whether a value may stand in a message: neither a credential nor an address that may hold one."""
    return not _SENSITIVE.search(option) and may_show(text) and bool(_HARMLESS.fullmatch(text))


@dataclass(frozen=True, slots=True)
class _Trial:
    """One try at the options, with which pydantic's errors become faults in plain English."""

    definition: CheckDefinition
    shared: Mapping[str, Any]
    given: Mapping[str, Any]
    node: yaml.Node | None

    def fault(self, error: Any) -> Fault:
        """The fault behind one of pydantic's errors; entries of lists are counted from 1."""
        option, *inside = error["loc"] or (None,)
        place = tuple(part for part in error["loc"] if isinstance(part, str | int))
        entry = ", ".join(f"entry {part + 1}" if isinstance(part, int) else f"`{part}`" for part in inside)
        problem = self._problem(error, option, place)
        return Fault(
            option,
            f"{entry} {problem}"
            if entry and problem.startswith("is ")
            else f"{entry}: {problem}"
            if entry
            else problem,
            place,
        )

    def _problem(self, error: Any, option: Any, place: tuple[Key, ...]) -> str:
        kind, value, context = error["type"], error["input"], error.get("ctx", {})
        name = str(place[-1]) if place and isinstance(place[-1], str) else "-"
        is_ = f"is {self._found(option, place, value)}"
        form = f"`{name}: {{}}`" if name != "-" else "`- {}`"
        match kind:
            case "string_type" | "int_type" | "bool_type" if value is None:
                return "is empty: remove it, or write a value"
            case "string_type" if isinstance(value, list | tuple) and len(value) > 1:
                form = form.format(self._text_form(option, place, value))
                return f"{is_}, and it takes one value: write {form}, and an instance for each of the others"
            case "string_type" if isinstance(value, int | float) and not _is_harmless(str(option), str(value)):
                return f"is {kind_of(value)}: put it in quotes"
            case "string_type":
                return f"{is_}: write {form.format(self._text_form(option, place, value))}"
            case "tuple_type" | "list_type":
                return f"{is_}: write a list, {form.format(self._list_form(option, place, value))}"
            case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
                return f"{is_}: write a whole number, {form.format(self._number(option, value, 100))}"
            case "float_type" | "float_parsing" | "finite_number":
                return f"{is_}: write a number, {form.format(self._number(option, value, 60))}"
            case "bool_type" | "bool_parsing":
                return f"{is_}: write true or false, without quotes"
            case "literal_error":
                expected = [part.strip(" '") for part in re.split(r",| or ", str(context.get("expected", "")))]
                near = did_you_mean(value, expected) if isinstance(value, str) else ""
                return f"{is_}: write one of {', '.join(expected)}{near}"
            case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
                words = {"greater_than": "more than", "greater_than_equal": "at least", "less_than": "less than"}
                limit = next(iter(context.values()), "")
                return f"{is_}: it must be {words.get(kind, 'at most')} {limit:,}"
            case "string_too_short":
                return "is empty: write a text, or remove the line"
            case "missing":
                return "is missing"
            case "value_error":
                return str(error["msg"]).removeprefix("Value error, ")
            case _ if not isinstance(value, Mapping) and re.search("model|mapping|dict|instance", kind):
                return f"is {self._found(option, place, value)}: write a mapping, `key: value` in lines below it"
            case _:
                return str(error["msg"]).replace("Input should be", "it has to be")

    def _found(self, option: Any, place: tuple[Key, ...], value: object) -> str:
        node = below(self.node, *place)
        if node is None:
            text = str(value) if isinstance(value, str | int | float) else type(value).__name__
            return f"`{printable(text, 60)}`" if _is_harmless(str(option), text) else kind_of(value)
        hidden = isinstance(node, yaml.ScalarNode) and not _is_harmless(str(option), node.value)
        return printable(type_name(node) if hidden else found(node))

    def _text_form(self, option: Any, place: tuple[Key, ...], value: object) -> str:
        """How to write `value` as text: the duration that a bare number means, or the text in quotes."""
        node = below(self.node, *place)
        written = node.value if isinstance(node, yaml.ScalarNode) else str(value)
        if isinstance(value, list | tuple) and value and isinstance(value[0], str) and _is_harmless(option, value[0]):
            return as_text(value[0])
        if isinstance(value, list | tuple | dict) or not _is_harmless(str(option), written):
            return '"…"'
        if len(place) == 1 and isinstance(value, int | float) and not self._accepts(option, written):
            duration = "" if isinstance(value, bool) else self._duration(option, value)
            forms = (duration, str(self._example(option, "")), "24h")
            return next((form for form in forms if form and self._accepts(option, form)), '"…"')
        return as_text(written) if as_text(written) != written else f'"{written}"'

    def _duration(self, option: Any, value: float) -> str:
        """What a bare number means as a duration: many are seconds, dozens are hours, else the default's unit."""
        unit = "s" if value >= 600 else "h" if value % 12 == 0 else str(self._example(option, "24h"))[-1:]
        for smaller, factor in (("d", 7), ("h", 24), ("m", 60), ("s", 60)):
            if float(value).is_integer():
                break
            if _UNITS.find(smaller) > _UNITS.find(unit):
                unit, value = smaller, round(value * factor, 6)
        return f"{int(value)}{unit}"

    def _accepts(self, option: Any, text: str) -> bool:
        """Whether the check takes `text` for this option, whatever the others are."""
        trial = {option: text}
        while True:
            match _load(self.definition, self.shared, trial):
                case OptionError(option=other) if other not in trial:
                    trial[other] = FILLER
                case OptionError(option=other):
                    return bool(other != option)
                case ValidationError() as report:
                    return all(error["loc"][:1] != (option,) for error in report.errors())
                case _:
                    return True

    def _list_form(self, option: Any, place: tuple[Key, ...], value: object) -> str:
        node = below(self.node, *place)
        if keys := option_names(self.definition.package).below.get(str(option)):
            return f"[{{{', '.join(f'{key}: …' for key in sorted(keys))}}}]"
        if isinstance(node, yaml.MappingNode):
            texts = pairs(node) if option == "tags" else [str(key.value) for key, _ in node.value]
        else:
            written = node.value if isinstance(node, yaml.ScalarNode) else str(value)
            texts = split(written) if isinstance(value, str) else [written]
        return as_list(texts) if all(_is_harmless(str(option), text) for text in texts) and texts else "[…]"

    def _number(self, option: Any, value: object, otherwise: int) -> object:
        """The number to write: the seconds of what was written as a duration, else an example."""
        if isinstance(value, str) and str(option).endswith(_IN_SECONDS):
            return seconds_of(value, str(self._example(option, otherwise)))
        return self._example(option, otherwise)

    def _example(self, option: Any, otherwise: object) -> object:
        if option == "min_collection_interval":
            return example_interval(self.definition)
        return defaults_of(self.definition).get(f"instance_{option}", otherwise)


def defaults_of(definition: CheckDefinition) -> dict[str, Any]:
    """The defaults of a check's options, by the names of the generated functions."""
    module = import_module(f"{definition.package}.config_models.defaults")
    return {name: make() for name, make in vars(module).items() if name.startswith(("instance_", "shared_"))}

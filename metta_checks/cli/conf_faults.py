"""The faults of one configuration file: what keeps its check from running as it is meant to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from datadog_checks.base import ConfigurationError
from pydantic import ValidationError

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.conf_files import ConfFile
from metta_checks.cli.findings import Finding
from metta_checks.cli.hints import (
    AGENT_OPTIONS,
    FILE_KEYS,
    hint_for_file_key,
    hint_for_instance,
    hint_for_shared,
    options_of,
)
from metta_checks.cli.runner import new_check
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import require_timeouts
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.option_errors import OptionError
from metta_checks.core.printable import printable

FILLER: Final = "x/x"
"""Stands in for a missing option while the others are looked at: it is a name, a path and a repository alike."""

MOST_FAULTS: Final = 100
"""Faults of one instance, which keeps a configuration that fights back from being looked at for ever."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]+>")
_ENTRY = re.compile(r"entry (\d+):")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An instance that has no fault; `check` has its options loaded."""

    number: int
    given: Mapping[str, Any]
    check: MettaCheck


@dataclass(frozen=True, slots=True)
class Examined:
    """A configuration file and what is wrong with it; `config` is None when it cannot be read."""

    file: ConfFile
    config: AgentConfig | None
    faults: tuple[Finding, ...]
    loaded: tuple[Loaded, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    option: str | None
    text: str


def examined(file: ConfFile) -> Examined:
    """Every fault of `file`: of the file, of `init_config`, of each option of each instance."""
    path, definition = file.path, file.definition
    try:
        config = read_agent_config(path)
    except ConfigFileError as error:
        fault = Finding("fault", path, str(error).removeprefix(f"{printable(str(path))}: "))
        return Examined(file, None, (fault,), ())
    faults = list(_faults_at_the_top(config, file))
    shared_faults = list(_faults_of_init_config(config, definition))
    faults += [Finding("fault", path, f"in `init_config`: {fault.text}", None, fault.option) for fault in shared_faults]
    shared = {} if shared_faults else dict(config.init_config)
    loaded: list[Loaded] = []
    for number, given in enumerate(config.instances, 1):
        found = [*_unknown(given, definition), *_placeholders(given)]
        named = {fault.option for fault in found}
        # The first word on an option is the clearest: the check often refuses a placeholder as well.
        said = [fault for fault in _faults_of_options(definition, shared, given) if fault.option not in named]
        found += [_clearer(fault, given) for fault in said]
        faults += [Finding("fault", path, fault.text, number, fault.option) for fault in found]
        if not found:
            check = new_check(definition, shared, given)
            check.load_options()
            loaded.append(Loaded(number, given, check))
    return Examined(file, config, tuple(faults), tuple(loaded))


def _faults_at_the_top(config: AgentConfig, file: ConfFile) -> Iterator[Finding]:
    for key, value in config.more.items():
        if key not in FILE_KEYS:
            yield Finding("fault", file.path, hint_for_file_key(str(key), file.definition), None, str(key))
        elif key == "cluster_check" and not isinstance(value, bool):
            yield Finding("fault", file.path, "it is true or false, without quotes", None, key)


def _faults_of_init_config(config: AgentConfig, definition: CheckDefinition) -> Iterator[_Fault]:
    known = options_of(definition).shared | AGENT_OPTIONS | {"service"}
    for key in config.init_config:
        if key not in known:
            yield _Fault(str(key), hint_for_shared(str(key), definition))
    model, faults = _complaint(definition, config.init_config, {})
    if model == "SharedConfig":
        yield from faults
        return
    try:
        # As if it were an instance's: that it is shared is said around it.
        require_timeouts({"timeout": config.init_config.get("timeout")}, {})
    except OptionError as error:
        yield _Fault(error.option, error.problem)


def _unknown(given: Mapping[str, Any], definition: CheckDefinition) -> Iterator[_Fault]:
    known = options_of(definition).instance | AGENT_OPTIONS
    for key in given:
        if key not in known:
            yield _Fault(str(key), hint_for_instance(str(key), definition))


def _placeholders(given: Mapping[str, Any]) -> Iterator[_Fault]:
    for option, value in given.items():
        texts = value if isinstance(value, list) else [value]
        left = {found for text in texts if isinstance(text, str) for found in _PLACEHOLDER.findall(text)}
        if left:
            yield _Fault(str(option), f"still holds {', '.join(sorted(left))} of the example: put your own value there")


def _clearer(fault: _Fault, given: Mapping[str, Any]) -> _Fault:
    """A tag with a space after its colon is a mapping for YAML, and the model does not guess why."""
    numbered = _ENTRY.match(fault.text)
    if fault.option != "tags" or numbered is None:
        return fault
    value = given["tags"][int(numbered[1]) - 1]
    if not isinstance(value, dict) or len(value) != 1:
        return fault
    ((key, word),) = value.items()
    return _Fault("tags", f"entry {numbered[1]} is a mapping for YAML: write `{key}:{word}`, without the space")


def _faults_of_options(
    definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[_Fault]:
    """What the check itself says of the options.

    A check stops at the first option that it cannot use. So what is blamed is taken out, or filled in where it is
    missing, and the rest is looked at again.
    """
    trial = dict(given)
    for _ in range(MOST_FAULTS):
        _, faults = _complaint(definition, shared, trial)
        if not faults:
            return
        yield from faults
        if not all(_put_aside(option, trial) for option in {fault.option for fault in faults}):
            return


def _put_aside(option: str | None, trial: dict[str, Any]) -> bool:
    """Make the check not stumble over `option` again; False where that cannot be done."""
    if option is None or trial.get(option) == FILLER:
        return False
    if trial.pop(option, None) is None:
        trial[option] = FILLER
    return True


def _complaint(
    definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str | None, list[_Fault]]:
    """What the check reports when it loads these options, and the generated model that refused them, if one did."""
    try:
        new_check(definition, shared, given).load_options()
    except OptionError as error:
        return None, [_Fault(error.option, error.problem)]
    except ConfigurationError as error:
        # The base class raises it in place of the model's own error, which has the places apart.
        if isinstance(error.__context__, ValidationError):
            return error.__context__.title, _faults_of_model(error.__context__)
        # One of the base class's own, which names the option.
        named = (option for option in options_of(definition).instance if f"`{option}`" in str(error))
        return None, [_Fault(next(named, None), str(error))]
    except Exception as error:
        # The base class reads some options before it has looked at their types. The text may hold a value.
        return None, [_Fault(None, f"the check cannot be made of it ({type(error).__name__}): look at the types")]
    return None, []


def _faults_of_model(error: ValidationError) -> list[_Fault]:
    """A fault for each place that a generated model refuses; entries of lists are counted from 1."""
    faults = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        option, *inside = (str(part + 1) if isinstance(part, int) else part for part in problem["loc"] or (None,))
        entry = f"entry {', '.join(map(str, inside))}: " if inside else ""
        faults.append(_Fault(option, entry + _plainly(problem["msg"])))
    return faults


def _plainly(problem: str) -> str:
    return problem.removeprefix("Value error, ").replace("Input should be a valid string", "has to be text, in quotes")

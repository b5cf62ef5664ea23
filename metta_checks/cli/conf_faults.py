"""The faults of one configuration file: what keeps its check from running as it is meant to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from datadog_checks.base import ConfigurationError

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.catalogue import CheckEntry
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
from metta_checks.core.printable import printable

FILLER: Final = "x/x"
"""Stands in for a missing option while the others are looked at: it is a name, a path and a repository alike."""

MOST_FAULTS: Final = 100
"""Faults of one instance, which keeps a configuration that fights back from being looked at for ever."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]+>")
_BLAMED = re.compile(r"`(\w+)`")
_ENTRY = re.compile(r"entry (\d+):")
_HEAD = re.compile(r"Detected \d+ errors? while loading configuration model `(\w+)`:\n")


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
    path, entry = file.path, file.entry
    try:
        config = read_agent_config(path)
    except ConfigFileError as error:
        fault = Finding("fault", path, str(error).removeprefix(f"{printable(str(path))}: "))
        return Examined(file, None, (fault,), ())
    faults = list(_faults_at_the_top(config, file))
    shared_faults = list(_faults_of_init_config(config, entry))
    faults += [Finding("fault", path, f"in `init_config`: {fault.text}", None, fault.option) for fault in shared_faults]
    shared = {} if shared_faults else dict(config.init_config)
    loaded: list[Loaded] = []
    for number, given in enumerate(config.instances, 1):
        found = [*_unknown(given, entry), *_placeholders(given)]
        named = {fault.option for fault in found}
        # The first word on an option is the clearest: the check often refuses a placeholder as well.
        said = [fault for fault in _faults_of_options(entry, shared, given) if fault.option not in named]
        found += [_clearer(fault, given) for fault in said]
        faults += [Finding("fault", path, fault.text, number, fault.option) for fault in found]
        if not found:
            check = new_check(entry, shared, given)
            check.load_options()
            loaded.append(Loaded(number, given, check))
    return Examined(file, config, tuple(faults), tuple(loaded))


def _faults_at_the_top(config: AgentConfig, file: ConfFile) -> Iterator[Finding]:
    for key, value in config.more.items():
        if key not in FILE_KEYS:
            yield Finding("fault", file.path, hint_for_file_key(str(key), file.entry), None, str(key))
        elif key == "cluster_check" and not isinstance(value, bool):
            yield Finding("fault", file.path, "it is true or false, without quotes", None, key)


def _faults_of_init_config(config: AgentConfig, entry: CheckEntry) -> Iterator[_Fault]:
    known = options_of(entry).shared | AGENT_OPTIONS | {"service"}
    for key in config.init_config:
        if key not in known:
            yield _Fault(str(key), hint_for_shared(str(key), entry))
    model, faults = _complaint(entry, config.init_config, {})
    if model == "SharedConfig":
        yield from faults
        return
    try:
        # As if it were an instance's: that it is shared is said around it.
        require_timeouts({"timeout": config.init_config.get("timeout")}, {})
    except ConfigurationError as error:
        yield from _taken_apart(str(error), options_of(entry).shared)[1]


def _unknown(given: Mapping[str, Any], entry: CheckEntry) -> Iterator[_Fault]:
    known = options_of(entry).instance | AGENT_OPTIONS
    for key in given:
        if key not in known:
            yield _Fault(str(key), hint_for_instance(str(key), entry))


def _placeholders(given: Mapping[str, Any]) -> Iterator[_Fault]:
    for option, value in given.items():
        texts = value if isinstance(value, list) else [value]
        left = {found for text in texts if isinstance(text, str) for found in _PLACEHOLDER.findall(text)}
        if left:
            yield _Fault(str(option), f"still holds {', '.join(sorted(left))} of the example: put your own value there")


def _clearer(fault: _Fault, given: Mapping[str, Any]) -> _Fault:
    """A tag with a space after its colon is a mapping for YAML, and the model does not guess why."""
    entry = _ENTRY.match(fault.text)
    if fault.option != "tags" or entry is None:
        return fault
    value = given["tags"][int(entry[1]) - 1]
    if not isinstance(value, dict) or len(value) != 1:
        return fault
    ((key, word),) = value.items()
    return _Fault("tags", f"entry {entry[1]} is a mapping for YAML: write `{key}:{word}`, without the space")


def _faults_of_options(entry: CheckEntry, shared: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[_Fault]:
    """What the check itself says of the options.

    A check stops at the first option that it cannot use. So what is blamed is taken out, or filled in where it is
    missing, and the rest is looked at again.
    """
    trial = dict(given)
    for _ in range(MOST_FAULTS):
        _, faults = _complaint(entry, shared, trial)
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
    entry: CheckEntry, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str | None, list[_Fault]]:
    """What the check says when it loads these options, and which generated model said it."""
    try:
        new_check(entry, shared, given).load_options()
    except ConfigurationError as error:
        return _taken_apart(str(error), options_of(entry).instance)
    except Exception as error:
        # The base class reads some options before it has looked at their types. The text may hold a value.
        return None, [_Fault(None, f"the check cannot be made of it ({type(error).__name__}): look at the types")]
    return None, []


def _taken_apart(message: str, known: frozenset[str]) -> tuple[str | None, list[_Fault]]:
    """The faults in a ConfigurationError: several of a model, each a line with the place and indented ones with the
    problem, or one of the check's own, which names the option in backticks."""
    head = _HEAD.match(message)
    if head is None:
        blamed = next((name for name in _BLAMED.findall(message) if name in known), None)
        text = message if blamed is None else message.removeprefix(f"`{blamed}`").removeprefix(":").strip()
        return None, [_Fault(blamed, text)]
    faults: list[_Fault] = []
    for line in message[head.end() :].splitlines():
        if line.startswith("  ") and faults:
            said = " ".join(part for part in (faults[-1].text, _plainly(line.strip())) if part)
            faults[-1] = _Fault(faults[-1].option, said)
        else:
            option, _, inside = line.partition(" -> ")
            faults.append(_Fault(option or None, f"entry {inside.replace(' -> ', ', ')}:" if inside else ""))
    return head[1], faults


def _plainly(problem: str) -> str:
    return problem.removeprefix("Value error, ").replace("Input should be a valid string", "has to be text, in quotes")

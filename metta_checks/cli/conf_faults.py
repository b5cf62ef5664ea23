"""The faults of one configuration file: what keeps its check from running as it is meant to, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from metta_checks.checks import CHECKS
from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, below, line_of, read_agent_config
from metta_checks.cli.agent_types import FILE, INIT_CONFIG, INSTANCE, refused_keys
from metta_checks.cli.conf_files import ConfFile, FileFinding
from metta_checks.cli.conf_values import faults_of_values, placeholders
from metta_checks.cli.installation import EXAMPLE
from metta_checks.cli.option_faults import Fault, faults_of_instance, faults_of_model, parent_of, replaced_by
from metta_checks.cli.runner import new_check
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import AGENT_OPTIONS, require_timeouts
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.option_errors import OptionError
from metta_checks.core.printable import printable
from metta_checks.core.unknown_options import LONGEST, did_you_mean, option_names


@dataclass(frozen=True, slots=True)
class Loaded:
    """An instance that has no fault; `check` has its options loaded."""

    number: int
    given: Mapping[str, Any]
    check: MettaCheck


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A configuration file and what is wrong with it; `config` is None when it cannot be read."""

    file: ConfFile
    config: AgentConfig | None
    faults: tuple[FileFinding, ...]
    loaded: tuple[Loaded, ...]


def check_file(file: ConfFile) -> CheckedFile:
    """Every fault of `file`: of the file, of `init_config`, of each option of each instance."""
    path = file.path
    try:
        config = read_agent_config(path)
    except ConfigFileError as error:
        faults = tuple(FileFinding("fault", path, problem) for problem in error.problems)
        return CheckedFile(file, None, faults, ())
    root = config.document.root if config.document else None
    findings = [*_of_yaml(config, file), *_at_the_top(config, file, root)]
    shared_node = below(root, "init_config")
    shared_faults = list(_of_init_config(config, file.definition, shared_node))
    findings += [_finding(file, fault, shared_node, None) for fault in shared_faults]
    shared = {} if shared_faults else dict(config.init_config)
    loaded: list[Loaded] = []
    for number, given in enumerate(config.instances, 1):
        node = below(root, "instances", number - 1)
        found = list(_of_instance(file.definition, shared, given, node, has_templates="ad_identifiers" in config.more))
        findings += [_finding(file, fault, node, number) for fault in found]
        if not found:
            check = new_check(file.definition, shared, given)
            check.load_options()
            loaded.append(Loaded(number, given, check))
    return CheckedFile(file, config, tuple(findings), tuple(loaded))


def _finding(file: ConfFile, fault: Fault, node: yaml.Node | None, number: int | None) -> FileFinding:
    line = line_of(below(node, *fault.place)) if fault.place else None
    if line is None and fault.option is not None:
        line = line_of(below(node, fault.option))
    text = fault.text if number is not None else f"in `init_config`: {fault.text}"
    return FileFinding("fault", file.path, text, number, fault.option, line)


def _of_yaml(config: AgentConfig, file: ConfFile) -> Iterator[FileFinding]:
    for twice in config.document.duplicates if config.document else ():
        first = f"also on line {twice.first_line}" if twice.first_line != twice.line else "twice on this line"
        text = f"is written {first}, and the Agent uses the last one without warning: remove one"
        if twice.merged:
            text = f"of line {twice.first_line} is replaced by the one that `<<` merges below it: move `<<` above it"
        yield FileFinding("fault", file.path, text, None, twice.key, twice.line)
    for node in config.document.unreadable if config.document else ():
        text = f"`{printable(str(node.value), LONGEST)}` comes back from the Agent without quotes"
        text = f"{text}, and Python's YAML cannot read it: write another text. The Agent would not build the check"
        yield FileFinding("fault", file.path, text, None, None, line_of(node))


def _at_the_top(config: AgentConfig, file: ConfFile, root: yaml.Node | None) -> Iterator[FileFinding]:
    for key, problem, node in refused_keys(root, FILE):
        yield FileFinding("fault", file.path, problem, None, key, line_of(node))
    for key in config.more:
        if key not in FILE_KEYS:
            text = hint_for_file_key(str(key), file.definition)
            yield FileFinding("fault", file.path, text, None, str(key), line_of(below(root, str(key))))


def _of_init_config(config: AgentConfig, definition: CheckDefinition, node: yaml.Node | None) -> Iterator[Fault]:
    refused = {key: Fault(key, problem, (key,)) for key, problem, _ in refused_keys(node, INIT_CONFIG)}
    yield from refused.values()
    known = option_names(definition.package).shared | AGENT_OPTIONS | {"service"}
    for key in config.init_config:
        if key not in known:
            yield Fault(str(key), hint_for_shared(str(key), definition))
    left = {key: value for key, value in config.init_config.items() if key not in refused}
    if faults := faults_of_model(definition, left, {}, node, "SharedConfig"):
        yield from faults
        return
    try:
        # As if it were an instance's: the caller adds that it is shared.
        require_timeouts({"timeout": config.init_config.get("timeout")}, {})
    except OptionError as error:
        yield Fault(error.option, error.problem)


def _of_instance(
    definition: CheckDefinition,
    shared: Mapping[str, Any],
    given: Mapping[str, Any],
    node: yaml.Node | None,
    *,
    has_templates: bool,
) -> Iterator[Fault]:
    found = [Fault(key, problem, (key,)) for key, problem, _ in refused_keys(node, INSTANCE)]
    found += _unknown(given, definition)
    found += placeholders(given)
    found += faults_of_values(definition, given, has_templates=has_templates)
    # The first report on an option is the clearest: the check often refuses a placeholder as well.
    named = {fault.option for fault in found}
    sound = {option: value for option, value in given.items() if option not in named}
    yield from (*found, *_unknown_below(given, definition))
    replaced = replaced_by(given, definition)
    for fault in faults_of_instance(definition, shared, sound, node):
        is_missing = sound.get(str(fault.option)) is None or fault.text.startswith("is set without")
        if fault.option not in named and not (fault.option in replaced and is_missing):
            yield fault


def _unknown_below(given: Mapping[str, Any], definition: CheckDefinition) -> Iterator[Fault]:
    for option, key, known in option_names(definition.package).unknown_below(given):
        yield Fault(option, f"`{printable(key, LONGEST)}`: there is no such key{did_you_mean(key, known)}", (option,))


def _unknown(given: Mapping[str, Any], definition: CheckDefinition) -> Iterator[Fault]:
    names = option_names(definition.package)
    for key in given:
        if key not in names.instance | AGENT_OPTIONS:
            parent = parent_of(str(key), given, definition)
            under = f"belongs under `{parent}`: indent it by two more spaces"
            yield Fault(str(key), under if parent else hint_for_instance(str(key), definition))


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
        else f"there is no such option; {EXAMPLE} has them all"
    )

"""What is known of a check on this machine without asking anybody: configuration, interval, credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadog_checks.base import ConfigurationError

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.agent_files import CONFIGURATIONS, MissingFilesError, example_of
from metta_checks.cli.conf_files import SUFFIXES
from metta_checks.cli.runner import new_check
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import AGENT_INTERVAL
from metta_checks.core.bounded_yaml import parse_yaml
from metta_checks.core.definition import CheckDefinition


@dataclass(frozen=True, slots=True)
class Configured:
    """One instance of a configuration file, or the environment alone, where `path` is None.

    `interval` is in seconds, None where it is not a number. `credential` says in words which place has one.
    """

    path: Path | None
    instance: int
    interval: int | None
    credential: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is of one check. `unusable` are its configuration files that cannot be read, with the reason."""

    definition: CheckDefinition
    configured: tuple[Configured, ...]
    unusable: tuple[str, ...]


def inventory_of(definition: CheckDefinition, agent_dir: Path) -> Inventory:
    """Look the check up in the Agent's folder; where it is not configured, in the environment and the example."""
    configured: list[Configured] = []
    unusable: list[str] = []
    for path in _files(definition, agent_dir):
        try:
            configured += _instances(definition, path, read_agent_config(path))
        except ConfigFileError as error:
            unusable.append(str(error))
    if not configured and not unusable:
        configured.append(Configured(None, 1, _interval_of_the_example(definition), _credential(definition, {}, {})))
    return Inventory(definition, tuple(configured), tuple(unusable))


def _files(definition: CheckDefinition, agent_dir: Path) -> Sequence[Path]:
    folder = agent_dir / CONFIGURATIONS / f"{definition.name}.d"
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    except OSError:
        return ()


def _instances(definition: CheckDefinition, path: Path, config: AgentConfig) -> list[Configured]:
    return [
        Configured(path, number, _interval(given), _credential(definition, config.init_config, given))
        for number, given in enumerate(config.instances, 1)
    ]


def _interval(given: Mapping[str, Any]) -> int | None:
    value = given.get("min_collection_interval", AGENT_INTERVAL)
    return value if isinstance(value, int) else None


def _interval_of_the_example(definition: CheckDefinition) -> int | None:
    try:
        example = example_of(definition)
        return _interval(parse_yaml(example.text, example.target)["instances"][0])
    except MissingFilesError:
        return None


def _credential(definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    try:
        check = new_check(definition, shared, given)
    except Exception:
        return "unknown: the options do not hold"
    try:
        check.load_options()
    except ConfigurationError:
        # What is wrong is mostly another option; then the places are known all the same.
        if check.config is None:
            return "unknown: the options do not hold"
    return credential_of(check)


def credential_of(check: MettaCheck) -> str:
    """From where the credential of a check with loaded options comes and which server gets it, or why none would."""
    if check.credential_places() is None:
        return "none of its own is needed"
    return check.credentials.describe()

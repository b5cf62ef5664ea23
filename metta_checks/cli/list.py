"""`metta-checks list`: which checks there are, and what of them is set up on this machine, without asking anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource
from datadog_checks.base import ConfigurationError

from metta_checks.checks import CHECKS
from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.conf_files import config_files
from metta_checks.cli.install import AGENT_DIR
from metta_checks.cli.installation import CONFIGURATIONS, EXAMPLE, SHIMS, example_interval
from metta_checks.cli.runner import new_check, prepare_stubs
from metta_checks.cli.terminal import echo, echo_wrapped, wrapped_row
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import AGENT_INTERVAL
from metta_checks.core.definition import CheckDefinition

Status = Literal["not installed", "installed, no conf.yaml", "configured", "unreadable"]


@dataclass(frozen=True, slots=True)
class Configured:
    """One instance of a configuration file, or the environment alone, where `path` is None.

    `interval` is in seconds, None where it is not a number. `target` is what the instance watches, empty where its
    options have faults. `credential` names the place that has one.
    """

    path: Path | None
    instance: int
    interval: int | None
    target: str
    credential: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is of one check. `problems` are what cannot be read or is missing, with the remedy."""

    definition: CheckDefinition
    status: Status
    configured: tuple[Configured, ...]
    problems: tuple[str, ...]


@click.command("list")
@click.option(
    "--agent-dir",
    type=click.Path(path_type=Path),
    default=AGENT_DIR,
    show_default=True,
    help="The Agent's configuration folder.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def list_checks(context: click.Context, agent_dir: Path, form: str) -> None:
    """Show the checks: what each watches, how often, where it is configured, and which place has its credential.

    No source is contacted, nor AWS, and no credential is shown. The environment is that of this command,
    which need not be the Agent's. A check that is not configured is shown with the interval of its example.

    \b
    Exit status:
      0  the checks are shown
      1  a folder or a configuration file cannot be read
      2  the command line is wrong

    \b
    Examples:
      metta-checks list
      metta-checks list --agent-dir ./agent --format json
    """
    named = context.get_parameter_source("agent_dir") is not ParameterSource.DEFAULT
    missing = _problem_of_folder(agent_dir)
    if missing and named:
        raise click.BadParameter(f"{agent_dir}: {missing}", context, param_hint="--agent-dir")
    prepare_stubs()
    inventories = [inventory_of(definition, agent_dir) for definition in CHECKS]
    if form == "json":
        echo(json.dumps([_as_json(one) for one in inventories], indent=1))
    else:
        _show(inventories)
        if missing:
            echo_wrapped(f"{agent_dir}: {missing}. Name the Agent's folder with --agent-dir.")
    context.exit(1 if any(one.status == "unreadable" for one in inventories) else 0)


def inventory_of(definition: CheckDefinition, agent_dir: Path) -> Inventory:
    """Look the check up in the Agent's folder; where it is not configured, in the environment and the example."""
    folder = agent_dir / CONFIGURATIONS / f"{definition.name}.d"
    configured: list[Configured] = []
    problems: list[str] = []
    try:
        children = _children(folder)
        files = config_files(children)
        has_shim = agent_dir / SHIMS / f"{definition.name}.py" in _children(agent_dir / SHIMS)
    except OSError as error:
        problem = f"{error.filename}: {(error.strerror or 'cannot be read').lower()}"
        return Inventory(definition, "unreadable", (), (f"{problem}; run this as the Agent's user, or as root",))
    for path in files:
        try:
            configured += _instances(definition, path, read_agent_config(path))
        except ConfigFileError as error:
            problems.append(str(error))
    if problems:
        return Inventory(definition, "unreadable", tuple(configured), tuple(problems))
    if configured:
        if not has_shim:
            problems.append(f"{agent_dir / SHIMS}/{definition.name}.py is missing: run `metta-checks install`")
        return Inventory(definition, "configured", tuple(configured), tuple(problems))
    from_environment = Configured(None, 1, example_interval(definition), *_looked_up(definition, {}, {}))
    if not has_shim and folder / EXAMPLE not in children:
        return Inventory(definition, "not installed", (from_environment,), ())
    remedy = f"copy {folder / EXAMPLE} to conf.yaml beside it and edit that"
    return Inventory(definition, "installed, no conf.yaml", (from_environment,), (remedy,))


def credential_of(check: MettaCheck) -> str:
    """From where the credential of a check with loaded options comes and which server gets it, or why none would."""
    if check.credential_places() is None:
        return "none of its own is needed"
    return check.credentials.describe()


def _problem_of_folder(folder: Path) -> str:
    try:
        return "" if folder.is_dir() else "this is no folder" if folder.exists() else "there is no such folder"
    except OSError as error:
        return (error.strerror or "cannot be read").lower()


def _children(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where it is missing. Raises OSError."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _instances(definition: CheckDefinition, path: Path, config: AgentConfig) -> list[Configured]:
    return [
        Configured(path, number, _interval(given), *_looked_up(definition, config.init_config, given))
        for number, given in enumerate(config.instances, 1)
    ]


def _interval(given: Mapping[str, Any]) -> int | None:
    value = given.get("min_collection_interval", AGENT_INTERVAL)
    return value if isinstance(value, int) else None


def _looked_up(definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, str]:
    """What the instance watches, and where its credential comes from."""
    unknown = "", "unknown, since the options have faults: `metta-checks validate` names them"
    try:
        check = new_check(definition, shared, given)
    except Exception:
        return unknown
    try:
        check.load_options()
    except ConfigurationError:
        # What is wrong is mostly another option; then the places are known all the same.
        if check.config is None:
            return unknown
        return "", credential_of(check)
    return _target_of(check), credential_of(check)


def _target_of(check: MettaCheck) -> str:
    """The one target, or what all targets of a discovery have in common; no list is read."""
    return f"{check.instance_name()}, all that match" if check.discovers else check.instance_name()


def _show(inventories: list[Inventory]) -> None:
    slugs = max(len(one.definition.slug) for one in inventories)
    names = max(len(one.definition.name) for one in inventories)
    echo(f"{'SLUG':<{slugs}}  {'CHECK':<{names}}  WATCHES")
    for one in inventories:
        row = (f"{one.definition.slug:<{slugs}}", f"{one.definition.name:<{names}}", one.definition.description)
        for line in wrapped_row(row):
            echo(line)
        for text in _lines(one):
            echo_wrapped(text, indent=" " * (slugs + 2))


def _lines(one: Inventory) -> Iterator[str]:
    for path, group in groupby(one.configured, key=lambda configured: configured.path):
        members = list(group)
        if path is None:
            yield f"{one.status}; the example runs it {_every(members[0])}"
        for configured in members:
            if path is not None:
                instance = f", instance {configured.instance}" if len(members) > 1 else ""
                target = f"{configured.target}, " if configured.target else ""
                yield f"{path}{instance}: {target}{_every(configured)}"
            yield f"credential: {configured.credential}"
    if one.status == "unreadable":
        yield from (f"unreadable: {problem}" for problem in one.problems)
    else:
        yield from one.problems


def _every(configured: Configured) -> str:
    return "every ? s" if configured.interval is None else f"every {configured.interval} s"


def _as_json(one: Inventory) -> dict[str, Any]:
    return {
        "slug": one.definition.slug,
        "check": one.definition.name,
        "watches": one.definition.description,
        "status": one.status,
        "instances": [
            {
                "file": None if configured.path is None else str(configured.path),
                "instance": configured.instance,
                "target": configured.target or None,
                "interval": configured.interval,
                "credential": configured.credential,
            }
            for configured in one.configured
        ],
        "problems": list(one.problems),
    }

"""`metta-checks list`: which checks there are, and what of them is set up here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from metta_checks.checks import CHECKS
from metta_checks.cli.install import AGENT_DIR
from metta_checks.cli.inventory import Configured, Inventory, inventory_of
from metta_checks.cli.render import wrapped
from metta_checks.cli.runner import prepare_stubs
from metta_checks.cli.terminal import echo


@click.command("list")
@click.option(
    "--agent-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=AGENT_DIR,
    show_default=True,
    help="The Agent's configuration folder.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_checks(agent_dir: Path, form: str) -> None:
    """Show the checks: what each watches, how often, where it is configured, and which place has its credential.

    Nothing is asked of any source, nor of AWS, and no credential is shown. The environment is that of this command,
    which need not be the Agent's. A check that is not configured is shown with the interval of its example.

    \b
    Exit status:
      0  the checks are shown
      2  the command line is wrong

    \b
    Examples:
      metta-checks list
      metta-checks list --agent-dir ./agent --format json
    """
    prepare_stubs()
    inventories = [inventory_of(definition, agent_dir) for definition in CHECKS]
    if form == "json":
        echo(json.dumps([_as_json(one) for one in inventories], indent=1))
        return
    echo(f"{'SLUG':<10} {'CHECK':<16} WATCHES")
    for one in inventories:
        echo(f"{one.definition.slug:<10} {one.definition.name:<16} {one.definition.description}")
        for text in (*_configured(one), *one.unusable):
            for line in wrapped(text, indent=" " * 11):
                echo(line)


def _configured(one: Inventory) -> Iterator[str]:
    for path, group in groupby(one.configured, key=lambda configured: configured.path):
        members = list(group)
        if path is None:
            yield f"not configured; the example runs it {_every(members[0])}"
        for configured in members:
            if path is not None:
                instance = f", instance {configured.instance}" if len(members) > 1 else ""
                yield f"{path}{instance}: {_every(configured)}"
            yield f"credential: {configured.credential}"


def _every(configured: Configured) -> str:
    return "every ? s" if configured.interval is None else f"every {configured.interval} s"


def _as_json(one: Inventory) -> dict[str, Any]:
    return {
        "slug": one.definition.slug,
        "check": one.definition.name,
        "watches": one.definition.description,
        "instances": [
            {
                "file": None if configured.path is None else str(configured.path),
                "instance": configured.instance,
                "interval": configured.interval,
                "credential": configured.credential,
            }
            for configured in one.configured
        ],
        "unusable": list(one.unusable),
    }

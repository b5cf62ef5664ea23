"""`metta-checks demo`: every check against servers on loopback."""

from __future__ import annotations

import click

from metta_checks.cli.catalogue import CHECKS
from metta_checks.cli.collect import exit_status
from metta_checks.cli.render import outcome_text
from metta_checks.cli.runner import Outcome, new_check, prepare_stubs, run_once
from metta_checks.demo.scene import Scene, scene


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show every series.")
@click.pass_context
def demo(context: click.Context, verbose: bool) -> None:
    """Run every check against sample data on this machine; no account, no network.

    Servers that speak as W&B and GitHub do are started on free loopback ports and stopped at the end.

    \b
    Exit status:
      0  every check collected
      1  one did not

    \b
    Examples:
      metta-checks demo
      metta-checks demo --verbose | grep metta.infra.health.state
    """
    prepare_stubs()
    outcomes: list[Outcome] = []
    with scene() as stage:
        for entry in CHECKS:
            outcome = _collected(entry.slug, stage)
            outcomes.append(outcome)
            for line in outcome_text(entry.name, outcome, every_series=verbose):
                click.echo(line)
            click.echo()
            if outcome.error:
                click.echo(outcome.error, err=True)
    context.exit(exit_status(outcomes))


def _collected(slug: str, stage: Scene) -> Outcome:
    entry = next(entry for entry in CHECKS if entry.slug == slug)
    return run_once(new_check(entry, {}, stage.instances[slug]), instance=1, collection=1)

"""`metta-checks list`: which checks there are."""

from __future__ import annotations

import click

from metta_checks.cli.catalogue import CHECKS


@click.command("list")
def list_checks() -> None:
    """Show the checks: slug, the Agent's name for it, what it watches."""
    click.echo(f"{'SLUG':<10} {'CHECK':<16} WATCHES")
    for entry in CHECKS:
        click.echo(f"{entry.slug:<10} {entry.name:<16} {entry.watches}")

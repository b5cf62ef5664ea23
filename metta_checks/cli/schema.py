"""`metta-checks schema`: what a health record is, for pipelines in any language."""

from __future__ import annotations

import click

from metta_checks.health.schema import schema_text


@click.command()
def schema() -> None:
    """Print the JSON Schema of a health record.

    \b
    Exit status:
      0  the schema is printed

    \b
    Examples:
      metta-checks schema > record.schema.json
    """
    click.echo(schema_text(), nl=False)

"""`metta-checks schema`: what health records and their documents are, for pipelines in any language."""

from __future__ import annotations

import click

from metta_checks.health.schema import document_schema_text, schema_text


@click.command()
@click.option(
    "--record/--document",
    "one_record",
    default=True,
    help="One record, as the checks read it, or a whole document, as `publish` takes it. [default: --record]",
)
def schema(one_record: bool) -> None:
    """Print the JSON Schema of a health record, or of a document of records.

    The schema of a document also has a pattern for conditions: `publish` refuses a condition that does not parse.

    \b
    Exit status:
      0  the schema is printed

    \b
    Examples:
      metta-checks schema > record.schema.json
      metta-checks schema --document > document.schema.json
    """
    click.echo(schema_text() if one_record else document_schema_text(), nl=False)

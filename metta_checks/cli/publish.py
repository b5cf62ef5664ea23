"""`metta-checks publish`: what a pipeline calls with its results."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from metta_checks.checks import CHECKS
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.core.definition import Origin
from metta_checks.health.destination import destination_of
from metta_checks.health.document import Document, Entry, Limits, parse_document
from metta_checks.health.local import read_file
from metta_checks.health.metrics import Judged, MetricOptions, judge_entries, remarks
from metta_checks.health.publishing import InvalidResultsError, validated
from metta_checks.health.publishing import publish as publish_records
from metta_checks.health.record import Record
from metta_checks.health.verdict import State

ORIGINS: Final[Mapping[str, Origin]] = {
    definition.slug: definition.records for definition in CHECKS if definition.records is not None
}
"""The suites whose records a check reads."""


@click.command()
@click.argument("suite", type=click.Choice(list(ORIGINS)))
@click.argument("results", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", "destination", metavar="DEST", help="A file, or s3://bucket/key.")
@click.option(
    "--merge", is_flag=True, help="Keep the records that are there; a later one of the same kind replaces it."
)
@click.option("--check-only", is_flag=True, help="Validate and write nothing: for pull requests.")
@click.option("--aws-region", help="The region of the bucket. Without it the AWS configuration decides.")
@click.pass_context
def publish(
    context: click.Context,
    suite: str,
    results: Path,
    destination: str | None,
    merge: bool,
    check_only: bool,
    aws_region: str | None,
) -> None:
    """Validate health records and write them where the check reads them.

    RESULTS is a JSON file, or - for standard input: a list of records, or an object with that list as `records`.
    `metta-checks schema` prints what a record is. All records are written, or none. A record without a timestamp gets
    the present time.

    \b
    Exit status:
      0  all records are valid, and written unless --check-only is given
      1  a record is not valid, or the destination cannot be written
      2  the command line is wrong

    \b
    Examples:
      metta-checks publish training results.json --to s3://my-bucket/health/training.json
      metta-checks publish eval results.json --to /shared/health/eval.json --merge
      metta-checks publish training results.json --check-only
    """
    _require_usable(destination, merge=merge, check_only=check_only)
    now = utcnow()
    try:
        records = validated(_given(results), now, name=str(results))
        for remark in _remarks(records, suite, str(results)):
            click.echo(f"warning: {remark}", err=True)
        if destination is None or check_only:
            click.echo(f"{_counted(records, suite)}; nothing was written")
            return
        total = publish_records(records, destination, merge=merge, region=aws_region, now=now)
    except (InvalidResultsError, SourceError) as error:
        click.echo(str(error), err=True)
        context.exit(1)
    click.echo(f"{_counted(records, suite)}; published to {destination}, which now has {total:,}")


def _require_usable(destination: str | None, *, merge: bool, check_only: bool) -> None:
    if destination is None and not check_only:
        raise click.UsageError("say where to with --to, or give --check-only")
    if destination is None and merge:
        raise click.UsageError("--merge needs --to")
    try:
        if destination is not None:
            destination_of(destination)
    except ValueError as error:
        raise click.UsageError(f"--to: {error}") from None


def _given(results: Path) -> Sequence[Record]:
    document = _document(results)
    if document.faults:
        raise InvalidResultsError(document.faults)
    return [entry.record for entry in document.entries]


def _document(results: Path) -> Document:
    limits = Limits()
    if str(results) != "-":
        return read_file(results, limits)
    return parse_document("standard input", sys.stdin.buffer.read(limits.max_bytes + 1), limits)


def _remarks(records: Sequence[Record], suite: str, name: str) -> Iterator[str]:
    return remarks(_judged(records, suite, name))


def _counted(records: Sequence[Record], suite: str) -> str:
    """How many records there are, and what they come to while they are fresh."""
    judged = _judged(records, suite, suite)
    states = Counter(one.verdict.state for one in judged)
    verdicts = ", ".join(f"{states[state]:,} {state.label}" for state in State if states[state])
    return f"{len(records):,} valid {suite} record{'s' if len(records) != 1 else ''} ({verdicts or 'no verdict'})"


def _judged(records: Sequence[Record], suite: str, name: str) -> list[Judged]:
    entries = (Entry(name, position, record, record.timestamp) for position, record in enumerate(records, 1))
    return judge_entries(entries, MetricOptions(ORIGINS[suite], max_age=timedelta.max), utcnow())

"""`metta-checks publish`: what a pipeline calls with its results."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from metta_checks.cli.terminal import echo
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.core.files import is_standard_output
from metta_checks.core.printable import printable
from metta_checks.health.destination import destination_of
from metta_checks.health.document import Document, Entry, Limits, parse_document
from metta_checks.health.identity import ANNOTATION_TAGS, Superseded
from metta_checks.health.local import read_file
from metta_checks.health.metrics import Judged, MetricOptions, newest_judged, remarks, stale_remarks, superseded_remarks
from metta_checks.health.publishing import EmptyResultsError, InvalidResultsError, validated_document
from metta_checks.health.publishing import publish as publish_records
from metta_checks.health.record import Record
from metta_checks.health.suites import ORIGINS
from metta_checks.health.verdict import State


@click.command()
@click.argument("suite", type=click.Choice(list(ORIGINS)))
@click.argument("results", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", "destination", metavar="DEST", help="A file, s3://bucket/key, or - for standard output.")
@click.option(
    "--merge", is_flag=True, help="Keep the records that are there; a newer one of the same identity replaces it."
)
@click.option(
    "--annotation-tag",
    "annotation_tags",
    metavar="NAME",
    multiple=True,
    default=ANNOTATION_TAGS,
    show_default=", ".join(ANNOTATION_TAGS),
    help="A tag that is no part of a record's identity; repeat it for several. Replaces the default.",
)
@click.option("--lenient", is_flag=True, help="Allow fields that look like slips, and conditions that do not parse.")
@click.option("--allow-empty", is_flag=True, help="Allow that there is no record.")
@click.option("--check-only", is_flag=True, help="Validate and write nothing: for pull requests.")
@click.option("--aws-region", help="The region of the bucket. Without it the AWS configuration decides.")
@click.pass_context
def publish(
    context: click.Context,
    suite: str,
    results: Path,
    destination: str | None,
    merge: bool,
    annotation_tags: tuple[str, ...],
    lenient: bool,
    allow_empty: bool,
    check_only: bool,
    aws_region: str | None,
) -> None:
    """Validate health records and write them where the check reads them.

    RESULTS is a JSON file, or - for standard input: a list of records, or an object with that list as `records`.
    `metta-checks schema` prints what a record is. All records are written, or none. A record without a timestamp gets
    the present time. A field that looks like a slip of a known one, such as `staus`, a condition that does not parse,
    and no record at all are faults.

    The identity of a record is its metric, workflow_name, task, check and tags, without the tags that describe one run
    of the pipeline (--annotation-tag). Of several records of one identity the newest counts.

    \b
    Exit status:
      0  all records are valid, and written unless --check-only is given
      1  a record is not valid, there is none, or the destination cannot be written
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
        records = validated_document(_document(results), now, suite=suite, lenient=lenient)
        if not records and not allow_empty:
            raise EmptyResultsError(f"reading {printable(str(results))}")
        options = MetricOptions(ORIGINS[suite], max_age=timedelta.max, annotations=frozenset(annotation_tags))
        judged, superseded = _judged(records, options, str(results))
        for remark in (*remarks(judged), *superseded_remarks(superseded), *stale_remarks(records, now)):
            echo(printable(f"warning: {remark}"), err=True)
        if destination is None or check_only:
            echo(f"{_counted(judged, len(records), suite)}; nothing was written")
            return
        total = publish_records(
            records,
            destination,
            merge=merge,
            lenient=lenient,
            allow_empty=allow_empty,
            region=aws_region,
            now=now,
            suite=suite,
            annotation_tags=annotation_tags,
        )
    except (InvalidResultsError, SourceError) as error:
        echo(str(error), err=True)
        context.exit(1)
    aside = is_standard_output(Path(destination))
    echo(f"{_counted(judged, len(records), suite)}; published to {destination}, which now has {total:,}", err=aside)


def _require_usable(destination: str | None, *, merge: bool, check_only: bool) -> None:
    if destination is None and not check_only:
        raise click.UsageError("say where to with --to, or give --check-only")
    if destination is None and merge:
        raise click.UsageError("--merge needs --to")
    if destination == "-" and merge:
        raise click.UsageError("--merge needs a document to merge into: name a file or an object with --to")
    try:
        if destination is not None:
            destination_of(destination)
    except ValueError as error:
        raise click.UsageError(f"--to: {error}") from None


def _document(results: Path) -> Document:
    limits = Limits()
    if str(results) != "-":
        return read_file(results, limits)
    return parse_document("standard input", sys.stdin.buffer.read(limits.max_bytes + 1), limits)


def _counted(judged: Sequence[Judged], total: int, suite: str) -> str:
    """How many records there are, and what they come to while they are fresh."""
    states = Counter(one.verdict.state for one in judged)
    verdicts = ", ".join(f"{states[state]:,} {state.label}" for state in State if states[state])
    return f"{total:,} valid {suite} record{'s' if total != 1 else ''} ({verdicts or 'no verdict'})"


def _judged(records: Sequence[Record], options: MetricOptions, name: str) -> tuple[list[Judged], list[Superseded]]:
    entries = (Entry(name, position, record, record.timestamp) for position, record in enumerate(records, 1))
    return newest_judged(entries, options, utcnow())

"""`metta-checks publish` and `metta-checks schema`: what a pipeline calls with its results, and their form."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from metta_checks.cli.terminal import echo
from metta_checks.core import SourceError
from metta_checks.core.atomic_write import WriteError, is_standard_output, write_output
from metta_checks.core.clock import utcnow
from metta_checks.core.printable import printable
from metta_checks.core.target import first_three
from metta_checks.core.unknown_options import did_you_mean
from metta_checks.health.destination import destination_of
from metta_checks.health.document import Document, Entry, Limits, parse_document
from metta_checks.health.errors import NAMED, EmptyResultsError, InvalidResultsError, PublishError
from metta_checks.health.forms import TITLES
from metta_checks.health.identity import ANNOTATION_TAGS, Superseded
from metta_checks.health.local import read_bytes
from metta_checks.health.metrics import (
    Judged,
    JudgeOptions,
    judge_newest,
    record_warnings,
    stale_warnings,
    superseded_warnings,
)
from metta_checks.health.publishing import publish as publish_records
from metta_checks.health.publishing import validated, validated_document
from metta_checks.health.record import Record
from metta_checks.health.results import read_results
from metta_checks.health.rules import convert, read_rules, suggested_rules
from metta_checks.health.schema import document_schema_text, schema_text
from metta_checks.health.suites import ORIGINS
from metta_checks.health.verdict import State


class Suite(click.Choice):  # type: ignore[type-arg]  # click 8.1 has no parameter
    """The name of a suite; an error names what was meant by another text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As every choice does, with a hint in the error."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            hint = did_you_mean(value, self.choices).replace("; did", " Did")
            if Path(value).suffix:
                hint = f" The suite comes first: publish SUITE {value}."
            raise click.BadParameter(f"{error.message}{hint}", ctx, param) from None


@click.command()
@click.argument("suite", type=Suite(list(ORIGINS)))
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
    help="A tag that is not part of a record's identity; repeat it for several. Replaces the default.",
)
@click.option("--lenient", is_flag=True, help="Allow fields that look like typos, and conditions that do not parse.")
@click.option("--allow-empty", is_flag=True, help="Allow an empty list of records.")
@click.option("--check-only", is_flag=True, help="Validate and write nothing: for pull requests.")
@click.option("--aws-region", help="The region of the bucket. Without it the AWS configuration decides.")
@click.option(
    "--from",
    "form",
    type=click.Choice(list(TITLES)),
    help="RESULTS is the output of another tool; --rules maps it to records.",
)
@click.option(
    "--rules",
    "rules_path",
    type=click.Path(path_type=Path),
    help="With --from: a YAML file that maps `task/metric` patterns to conditions and names.",
)
@click.option(
    "--suggest-rules",
    "suggestion",
    type=click.Path(path_type=Path, allow_dash=True),
    help="With --from: write a first rules file, made of RESULTS, and publish nothing.",
)
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
    form: str | None,
    rules_path: Path | None,
    suggestion: Path | None,
) -> None:
    """Validate health records and write them where the check reads them.

    RESULTS is a JSON file, or - for standard input: a list of records, or an object with that list as `records`.
    `metta-checks schema --document` prints what that is. All records are written, or none. A record without a timestamp
    gets the present time. A field that looks like a typo of a known one, such as `staus`, a condition that does
    not parse, and an empty list of records are faults.

    The identity of a record is its metric, workflow_name, task, check and tags, without the tags that describe one run
    of the pipeline (--annotation-tag). Of several records of one identity the newest counts.

    With --from, RESULTS is the output of lm-evaluation-harness, JUnit XML, a report of pytest-json-report, or a flat
    object of numbers. The rules name the figures that become records; --check-only lists those that no rule names. A
    rule that matches nothing is a fault.

    \b
    Exit status:
      0  all records are valid, and written unless --check-only is given
      1  a record or a rule is not valid, there is no record, or the destination cannot be written
      2  the command line is wrong

    \b
    Examples:
      metta-checks publish training results.json --to s3://my-bucket/health/training.json
      metta-checks publish eval results.json --to /shared/health/eval.json --merge
      metta-checks publish training results.json --check-only
      metta-checks publish eval lm_eval.json --from lm-eval --suggest-rules rules.yaml
      metta-checks publish eval lm_eval.json --from lm-eval --rules rules.yaml --to eval.json
    """
    _require_source(form, rules_path, suggestion)
    now = utcnow()
    try:
        if form is not None and suggestion is not None:
            _suggest(results, form, suite, suggestion)
            return
        _require_usable(destination, merge=merge, check_only=check_only)
        records, unnamed = _records(results, form, rules_path, suite=suite, lenient=lenient, now=now)
        if not records and not allow_empty:
            raise EmptyResultsError(f"reading {printable(str(results))}", "--allow-empty")
        options = JudgeOptions(ORIGINS[suite], max_age=timedelta.max, annotations=frozenset(annotation_tags))
        judged, superseded = _judged(records, options, str(results))
        stale = stale_warnings(enumerate(records, 1), now)
        for kind in (record_warnings(judged), superseded_warnings(superseded), stale):
            for remark in first_three(list(kind)):
                echo(printable(f"warning: {remark}"), err=True)
        if destination is None or check_only:
            for path in unnamed:
                echo(f"no rule names {path}")
            echo(f"{_counted(judged, len(records), suite)}; nothing was written")
            return
        if unnamed:
            echo(f"{len(unnamed):,} figures are named by no rule; --check-only lists them", err=True)
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
    except (PublishError, SourceError, WriteError) as error:
        echo(str(error), err=True)
        if form is None and isinstance(error, InvalidResultsError) and len(error.faults) > NAMED:
            echo(f"`metta-checks validate --check {suite} {printable(str(results))}` lists them all", err=True)
        context.exit(1)
    aside = is_standard_output(Path(destination))
    echo(f"{_counted(judged, len(records), suite)}; published to {destination}, which now has {total:,}", err=aside)


def _require_source(form: str | None, rules_path: Path | None, suggestion: Path | None) -> None:
    if form is None and (rules_path or suggestion):
        option = "--rules" if rules_path else "--suggest-rules"
        raise click.UsageError(f"{option} needs --from, the format of RESULTS: {', '.join(TITLES)}")
    if form is not None and rules_path is None and suggestion is None:
        raise click.UsageError("--from needs --rules: write a first file with --suggest-rules rules.yaml")
    if rules_path and suggestion:
        raise click.UsageError("--suggest-rules writes a rules file and --rules reads one: give one of them")


def _suggest(results: Path, form: str, suite: str, suggestion: Path) -> None:
    found = read_results(_content(results), form, _name(results))
    write_output(suggestion, suggested_rules(found, suite))
    edit = "edit its conditions, then give it to --rules"
    echo(f"wrote {suggestion}: {len(found.figures):,} figures; {edit}", err=is_standard_output(suggestion))


def _records(
    results: Path, form: str | None, rules_path: Path | None, *, suite: str, lenient: bool, now: datetime
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """The records to publish, and the figures that no rule names."""
    if form is None or rules_path is None:
        return validated_document(_document(results), now, suite=suite, lenient=lenient), ()
    rules = read_rules(rules_path)
    made = convert(read_results(_content(results), form, _name(results)), rules, strict=not lenient)
    return validated(made.records, now, name=_name(results), suite=suite, lenient=lenient), made.unnamed


def _content(results: Path) -> bytes:
    if str(results) != "-":
        return read_bytes(results, Limits())
    return sys.stdin.buffer.read(Limits().max_bytes + 1)


def _name(results: Path) -> str:
    return "standard input" if str(results) == "-" else printable(str(results))


def _require_usable(destination: str | None, *, merge: bool, check_only: bool) -> None:
    if destination is None and not check_only:
        raise click.UsageError("set the destination with --to, or use --check-only")
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
    return parse_document(_name(results), _content(results), Limits())


def _counted(judged: Sequence[Judged], total: int, suite: str) -> str:
    """How many records there are, and what they come to while they are fresh."""
    states = Counter(one.verdict.state for one in judged)
    verdicts = ", ".join(f"{states[state]:,} {state.label}" for state in State if states[state])
    return f"{total:,} valid {suite} record{'s' if total != 1 else ''} ({verdicts or 'no verdict'})"


def _judged(records: Sequence[Record], options: JudgeOptions, name: str) -> tuple[list[Judged], list[Superseded]]:
    entries = (Entry(name, position, record, record.timestamp) for position, record in enumerate(records, 1))
    return judge_newest(entries, options, utcnow())


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

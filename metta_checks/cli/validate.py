"""`metta-checks validate`: everything wrong with configurations and health records, before the Agent reads them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import click

from metta_checks.cli.arguments import METAVAR, completed, optional_check
from metta_checks.cli.conf_faults import CheckedFile, check_file
from metta_checks.cli.conf_files import ConfFile, FileFinding, found_at
from metta_checks.cli.conf_warnings import same_twice, warnings_of
from metta_checks.cli.group import ConfigurationFault
from metta_checks.cli.list import credential_of
from metta_checks.cli.runner import prepare_stubs
from metta_checks.cli.terminal import echo, echo_wrapped
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.printable import printable
from metta_checks.health.document import Entry, EntryFault, Limits
from metta_checks.health.identity import Superseded
from metta_checks.health.local import read_file
from metta_checks.health.metrics import (
    JudgeOptions,
    judge_newest,
    record_warnings,
    stale_warnings,
    superseded_warnings,
)
from metta_checks.health.names import problem_of, problem_with
from metta_checks.health.publishing import document_faults
from metta_checks.health.suites import ORIGINS
from metta_checks.training.definition import ORIGIN

_ORDER: Final = {"fault": 0, "warning": 1, "note": 2, "credential": 3}


@click.command()
@click.argument("paths", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--check",
    callback=optional_check,
    metavar=METAVAR,
    shell_complete=completed,
    help="The check of a configuration, or of a file of health records, whose place does not show it.",
)
@click.option("--daemonset", is_flag=True, help="The files go to the Agent of every node.")
@click.option("--lenient", is_flag=True, help="Allow typos in health records, as `publish --lenient` does.")
@click.option("--strict", is_flag=True, help="Warnings count as faults.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def validate(
    context: click.Context,
    paths: tuple[Path, ...],
    check: CheckDefinition | None,
    daemonset: bool,
    lenient: bool,
    strict: bool,
    form: str,
) -> None:
    """Look for faults in configurations and files of health records. No source is contacted.

    PATH is a configuration, a check's folder, a conf.d, an Agent's whole folder, or a .json file of health records.
    Files are read as the Agent reads them, and the options are loaded by the checks themselves, so that what passes
    here loads in the Agent. Options that come from the environment are looked for in the environment of this command:
    run it with the Agent's.

    A fault keeps a check from running as it is meant to. A warning is about what causes trouble later: a missing
    `env:` tag, series that change with the host, an interval that leaves gaps in graphs, a plain secret, the same
    thing watched twice, instances whose outages are one series, and what goes wrong on a cluster. A note is neither.

    \b
    Exit status:
      0  no fault; there may be warnings, unless --strict is given
      1  a fault; with --strict, a warning
      2  the command line is wrong, or there is nothing to validate

    \b
    Examples:
      metta-checks validate /etc/datadog-agent/conf.d
      metta-checks validate --check wandb my-configuration.yaml
      metta-checks validate --strict --daemonset deploy/conf.d results/training.json
    """
    prepare_stubs()
    files, findings, credentials = _read(paths, check, daemonset=daemonset, lenient=lenient)
    if not files and not any(finding.level == "fault" for finding in findings):
        if form == "table":
            _show(findings, files)
        raise ConfigurationFault("there is no configuration of these checks and no file of health records")
    findings.sort(key=_place)
    faults, warnings = (sum(one.level == level for one in findings) for level in ("fault", "warning"))
    if form == "json":
        document = {
            "files": sorted(map(str, files)),
            "verdicts": {str(path): _verdict(path, findings) for path in sorted(files)},
            "findings": [one.as_json() for one in findings],
            "credentials": [one.as_json() for one in credentials],
        }
        echo(json.dumps(document, indent=1))
    else:
        _show([*findings, *credentials], files)
        # A file that could not be read has faults too.
        looked_at = files | {one.path for one in findings if one.level == "fault"}
        echo(f"{_count(len(looked_at), 'file')}: {_count(faults, 'fault')}, {_count(warnings, 'warning')}")
    context.exit(1 if faults or (strict and warnings) else 0)


def _read(
    paths: Iterable[Path], check: CheckDefinition | None, *, daemonset: bool, lenient: bool
) -> tuple[set[Path], list[FileFinding], list[FileFinding]]:
    """The files that were read, what was found in them and around them, and where credentials come from and go."""
    files: set[Path] = set()
    findings: list[FileFinding] = []
    configurations: list[CheckedFile] = []
    for found in _found(paths, check):
        if isinstance(found, FileFinding):
            findings.append(found)
        elif isinstance(found, ConfFile) and found.path not in files:
            files.add(found.path)
            configurations.append(check_file(found))
        elif isinstance(found, Path) and found not in files:
            files.add(found)
            suite = check.slug if check is not None and check.records is not None else None
            findings += record_findings(found, suite, lenient=lenient)
    for configuration in configurations:
        findings += [*configuration.faults, *warnings_of(configuration, daemonset=daemonset)]
    findings += same_twice(configurations)
    credentials = [
        FileFinding("credential", configuration.file.path, credential_of(loaded.check), loaded.number)
        for configuration in configurations
        for loaded in configuration.loaded
        if loaded.check.credential_places() is not None
    ]
    return files, findings, credentials


def _found(paths: Iterable[Path], check: CheckDefinition | None) -> Iterable[ConfFile | Path | FileFinding]:
    try:
        for path in paths:
            yield from found_at(path, check)
    except OSError as error:
        detail = (error.strerror or "cannot be read").lower()
        raise ConfigurationFault(f"{error.filename}: {detail}; run this as the Agent's user, or as root") from None


def _show(findings: Sequence[FileFinding], files: Collection[Path]) -> None:
    """A line with the verdict for each file, and what was found in it below."""
    by_path = {path: list(group) for path, group in groupby(sorted(findings, key=_place), key=lambda one: one.path)}
    for path in sorted({*files, *by_path}):
        found = by_path.get(path, [])
        echo(f"{printable(str(path))}: {_verdict(path, found)}")
        for finding in found:
            echo_wrapped(f"{finding.level}: {finding}", indent="  ")


def _verdict(path: Path, findings: Iterable[FileFinding]) -> str:
    """`ok`, or how many faults and warnings the file has."""
    levels = [finding.level for finding in findings if finding.path == path]
    counts = [_count(levels.count(level), level) for level in ("fault", "warning") if level in levels]
    return ", ".join(counts) or ("ok" if "note" not in levels else "nothing to run")


def _place(finding: FileFinding) -> tuple[str, int, int, int]:
    return str(finding.path), _ORDER[finding.level], finding.instance or 0, finding.line or 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def record_findings(path: Path, suite: str | None = None, *, lenient: bool) -> Iterator[FileFinding]:
    """A fault for what `publish` would refuse, a warning for what the check would remark upon.

    `suite` is whose records they are; where that is not known, a name that one of the checks refuses is a fault.
    """
    now = utcnow()
    try:
        document = read_file(path, Limits())
    except SourceError as error:
        yield FileFinding("fault", path, f"{error.detail}. {error.remedy}")
        return
    refused = list(_refused_by_one(document.entries)) if suite is None else []
    faults = sorted(
        (*document_faults(document, now, suite=suite, lenient=lenient), *refused), key=lambda fault: fault.position
    )
    for fault in faults:
        yield FileFinding("fault", path, f"record {fault.position}: {fault.problem}")
    if not document.entries and not faults:
        yield FileFinding("warning", path, "there is no record: `publish` refuses an empty list without --allow-empty")
    faulty = {fault.position for fault in faults}
    usable = [entry for entry in document.entries if entry.position not in faulty]
    # Whose records they are changes their metrics' names, and nothing that is remarked upon.
    options = JudgeOptions(ORIGIN, max_age=timedelta.max)
    judged, superseded = judge_newest(usable, options, now)
    positions = [entry.position for entry in usable]
    for one in superseded:
        older, newer = positions[one.position - 1], positions[one.by - 1]
        yield FileFinding("warning", path, next(superseded_warnings([Superseded(older, newer)])))
    for remark in record_warnings(judged):
        yield FileFinding("warning", path, remark.partition(", ")[2])
    for remark in stale_warnings(((entry.position, entry.record) for entry in usable), now):
        yield FileFinding("warning", path, remark)


def _refused_by_one(entries: Iterable[Entry]) -> Iterator[EntryFault]:
    """The names that one check refuses and the other does not: which of them reads the file is not known."""
    for entry in entries:
        metric = entry.record.metric
        if problem_of(metric, None) is not None:
            continue
        refused = ((name, said) for name, origin in ORIGINS.items() if (said := problem_with(metric, origin)))
        if problem := next((f"for metta_{name} {said}; --check names its check" for name, said in refused), None):
            yield EntryFault(entry.document, entry.position, f"metric: {problem}")

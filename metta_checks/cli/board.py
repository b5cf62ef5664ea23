"""`metta-checks board`: dashboards and monitors checked, drawn on this machine, and written out for import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metta_checks.checks import CHECKS
from metta_checks.cli.arguments import output_file, require_written
from metta_checks.cli.group import ConfigurationFault, install_command, require_simulator
from metta_checks.cli.render import outcomes_json
from metta_checks.cli.runner import CheckOutcome, new_check, prepare_stubs, run_once
from metta_checks.cli.terminal import Progress, echo
from metta_checks.core.atomic_write import STANDARD_OUTPUT, WriteError, is_standard_output
from metta_checks.core.clock import utcnow
from metta_checks.core.printable import printable

if TYPE_CHECKING:
    from metta_checks.board.document import Dashboard
    from metta_checks.board.recording import Recording

DEMO = "demo"


@click.group()
def board() -> None:
    """Dashboards and monitors: check them, look at them, write them out for import.

    \b
    Exit status:
      0  success
      1  `lint` found something, or a file cannot be written
      2  the command line is wrong, or a file cannot be read

    \b
    Examples:
      metta-checks board lint
      metta-checks board preview -o board.html
      metta-checks board export boards --page-to @pagerduty-training
    """


@board.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--tag", "tags", multiple=True, metavar="KEY", help="A tag that your instances put on every series.")
@click.option("--rules", is_flag=True, help="Show the rules, and check nothing.")
@click.pass_context
def lint(context: click.Context, files: tuple[Path, ...], tags: tuple[str, ...], rules: bool) -> None:
    """Check dashboards and monitors against what the checks emit; without FILES, those of this package.

    Tags that only your own instances have (`tags:` in the configuration) are not known here: name them with --tag.

    \b
    Exit status:
      0  nothing was found
      1  something was found
      2  the command line is wrong, a file cannot be read, or the API client is missing

    \b
    Examples:
      metta-checks board lint
      metta-checks board lint --tag team my-dashboard.json
    """
    from metta_checks.board.client_models import MissingClientError
    from metta_checks.board.contract import contract
    from metta_checks.board.findings import Rule
    from metta_checks.board.lint import findings_in

    if rules:
        for rule in Rule:
            echo(f"{rule:<11} {rule.meaning}")
        return
    texts = {str(path): _read(path) for path in files} if files else _ours()
    emitted = contract().with_tags(tags)
    found = 0
    progress = Progress()
    for number, (name, text) in enumerate(texts.items(), 1):
        progress.show(f"{number} of {len(texts)}: {name} …")
        try:
            findings = findings_in(text, emitted)
        except MissingClientError:
            text = "the linter needs Datadog's API client, which is not installed"
            raise ConfigurationFault(f"{text}: {install_command('board')}") from None
        progress.clear()
        found += len(findings)
        for finding in findings:
            echo(printable(f"{name}: {finding}"))
    echo(f"{len(texts)} checked, {found or 'nothing'} found")
    context.exit(1 if found else 0)


@board.command()
@click.argument("dashboards", nargs=-1, metavar="[NAME|FILE]...")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="[demo|FILE]",
    help="Documents of `collect --format json`, of one check or several, or `demo`, sample data. [default: demo]",
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="The value of a template variable.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    callback=output_file,
    default=Path("board.html"),
    show_default=True,
    help="The HTML file to write, - for standard output.",
)
def preview(dashboards: tuple[str, ...], sources: tuple[str, ...], variables: tuple[str, ...], output: Path) -> None:
    """Draw dashboards from collections, as one HTML file that needs no network.

    NAME is one of ours (health_wall, ci, wandb_runs; all by default), FILE a dashboard as JSON. Several
    collections, in one document or in several, show a trend in the charts. In the browser `#name` chooses a
    dashboard, `?theme=dark` or `?theme=light` the colours.

    \b
    Exit status:
      0  the file is written
      1  it cannot be written
      2  the command line is wrong, or a file cannot be read

    \b
    Examples:
      metta-checks board preview
      metta-checks collect ci --repeat 5 --pause 60 --format json --output ci.json
      metta-checks board preview ci --from ci.json --var branch=main -o ci.html
      metta-checks collect all --config conf.d --format json --output all.json
      metta-checks board preview --from all.json
    """
    from metta_checks.board.page import page

    chosen = _dashboards(dashboards)
    values = _values(variables, chosen)
    require_written(output, page(chosen, _recording(sources or (DEMO,)), values))
    aside = is_standard_output(output)
    echo(f"wrote {output}: {', '.join(chosen)}", err=aside)


@board.command("export")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--page-to", default="", metavar="HANDLE", help="Who is paged, such as @pagerduty-training.")
@click.option(
    "--ticket-to", default="", metavar="HANDLE", help="Who is notified by the other monitors, such as @slack-training."
)
@click.option("--site", default="", metavar="SITE", help="The Datadog site of the links. [default: datadoghq.com]")
@click.option("--runbook", default="", metavar="URL", help="The runbook to link to. [default: no link]")
@click.option("--all", "with_optional", is_flag=True, help="Optional monitors too: wandb_gpu_hours_lost.")
def export_command(directory: Path, page_to: str, ticket_to: str, site: str, runbook: str, with_optional: bool) -> None:
    """Write the JSON of the dashboards and monitors into DIRECTORY, for import into Datadog.

    Files of the same names are replaced. A monitor notifies nobody unless a handle is given here or added to its
    message in Datadog.

    \b
    Exit status:
      0  the files are written, and named
      1  a file cannot be written
      2  the command line is wrong

    \b
    Examples:
      metta-checks board export boards
      metta-checks board export boards --page-to @pagerduty-training --ticket-to @slack-training
    """
    from metta_checks.board import library

    if directory == STANDARD_OUTPUT:
        raise click.UsageError("standard output takes one file, and these are several: name a folder")
    try:
        for path in library.export(
            directory, page_to=page_to, ticket_to=ticket_to, site=site, runbook=runbook, with_optional=with_optional
        ):
            echo(path)
    except WriteError as error:
        raise click.ClickException(f"writing {error}") from None


def demo_board(collections: Mapping[str, Sequence[CheckOutcome]]) -> str:
    """The page of all our dashboards, drawn from these collections of each check."""
    from metta_checks.board.page import page
    from metta_checks.board.recording import recorded

    return page(_dashboards(()), recorded(_documents_of(collections)))


def _ours() -> dict[str, str]:
    from metta_checks.board import library

    return {
        f"{kind}/{name}.json": library.text_of(kind, name) for kind in library.KINDS for name in library.names(kind)
    }


def _dashboards(wanted: Sequence[str]) -> dict[str, Dashboard]:
    from metta_checks.board import library

    return dict(_dashboard(name) for name in wanted or library.names("dashboards"))


def _dashboard(name: str) -> tuple[str, Dashboard]:
    from metta_checks.board import library
    from metta_checks.board.document import Dashboard, DocumentError, parse_board, parse_json

    if not name.endswith(".json"):
        try:
            return name, library.dashboard(name)
        except KeyError as error:
            raise click.UsageError(error.args[0]) from None
    path = Path(name)
    try:
        parsed = parse_board(parse_json(_read(path)))
    except DocumentError as error:
        raise ConfigurationFault(f"{path}: {error}") from None
    if not isinstance(parsed, Dashboard):
        raise ConfigurationFault(f"{path}: this is a monitor, and there is nothing to draw")
    return path.stem, parsed


def _recording(sources: Sequence[str]) -> Recording:
    from metta_checks.board.recording import RecordingError, recorded

    documents: dict[str, str] = {}
    for source in sources:
        documents |= _documents_of(demo_collections()) if source == DEMO else _documents_in(source, _read(Path(source)))
    try:
        return recorded(documents)
    except RecordingError as error:
        raise ConfigurationFault(str(error)) from None


def _documents_in(source: str, text: str) -> dict[str, str]:
    """The documents by name: one object, or those of the list that `collect` writes of several checks."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        # Explained by whoever reads it.
        content = None
    if not isinstance(content, list):
        return {source: text}
    # A check that was not reached before Ctrl-C has no collection.
    held = [one for one in content if not (isinstance(one, dict) and one.get("collections") == [])]
    return {f"{source}, document {number}": json.dumps(one) for number, one in enumerate(held, 1)}


def demo_collections() -> dict[str, list[CheckOutcome]]:
    """What every check collects of the sample data in the two hours until now."""
    require_simulator()
    from metta_checks.simulator.timelapse import STEPS, timelapse

    prepare_stubs()
    outcomes: dict[str, list[CheckOutcome]] = {definition.name: [] for definition in CHECKS}
    with timelapse(utcnow()) as life:
        checks = [new_check(definition, {}, life.sandbox.instances[definition.slug]) for definition in CHECKS]
        for number in range(1, STEPS + 2):
            for check in checks:
                check.clock = life.clock
                outcomes[check.name].append(run_once(check, instance=1, collection=number))
            if number <= STEPS:
                life.advance()
    return outcomes


def _documents_of(collections: Mapping[str, Sequence[CheckOutcome]]) -> dict[str, str]:
    return {name: outcomes_json(name, outcomes, indent=None) for name, outcomes in collections.items()}


def _values(given: Sequence[str], dashboards: Mapping[str, Dashboard]) -> dict[str, str]:
    declared = {variable.name for dashboard in dashboards.values() for variable in dashboard.variables}
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in declared:
            raise click.UsageError(f"--var {text}: write NAME=VALUE; the names are {', '.join(sorted(declared))}")
        values[name] = value
    return values


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationFault(f"{path}: this is not UTF-8 text") from None
    except OSError as error:
        raise ConfigurationFault(f"{path}: {error.strerror}") from None

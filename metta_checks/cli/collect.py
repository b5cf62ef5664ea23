"""`metta-checks collect`: one check, run now, as the Agent would run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import click

from metta_checks.checks import CHECKS
from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.check_names import METAVAR, completed, named_check
from metta_checks.cli.dogstatsd import AddressError, NoAgentError, destination
from metta_checks.cli.log import log_shown
from metta_checks.cli.options import config_option, config_or_environment
from metta_checks.cli.output import output_file, require_written
from metta_checks.cli.progress import Progress
from metta_checks.cli.push import MissingClientError, Pusher, require_client
from metta_checks.cli.render import outcome_text, outcomes_json, sent_text
from metta_checks.cli.runner import Outcome, collections, new_check, prepare_stubs, refused
from metta_checks.cli.terminal import echo
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.files import STANDARD_OUTPUT
from metta_checks.core.printable import printable_lines


def up_to_a_day(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """A callback for click: refuses what cannot be slept, "nan" and "inf" among it."""
    if not 0 <= value <= 86_400:
        raise click.BadParameter("a pause is at least 0 and at most 86400 seconds", context, parameter)
    return value


ENOUGH: Final = "\b\nEnvironment variables that are enough instead of a configuration:\n" + "\n".join(
    f"  {definition.slug:<9} {' '.join(definition.variables)}" for definition in CHECKS
)


@click.command(epilog=ENOUGH)
@click.argument("check", callback=named_check, metavar=METAVAR, shell_complete=completed)
@config_option
@click.option("--instance", type=click.IntRange(min=1), help="Only this instance of the file, counted from 1.")
@click.option("--dry-run", is_flag=True, help="Collect and show, send nothing. This is the default.")
@click.option("--push", is_flag=True, help="Also send it to the local Agent through DogStatsD, once.")
@click.option("--hostless", is_flag=True, help="With --push: keep the Agent's host off the series.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Collections per instance.")
@click.option(
    "--pause",
    type=float,
    callback=up_to_a_day,
    metavar="SECONDS",
    default=0.0,
    show_default=True,
    help="Seconds between repeated collections.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="Write there instead of to standard output (-): the whole file, or nothing.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only; a document that is asked for is still written.")
@click.option("-v", "--verbose", is_flag=True, help="Show every series, the check's log, and tracebacks.")
@click.pass_context
def collect(
    context: click.Context,
    check: CheckDefinition,
    config_path: Path | None,
    instance: int | None,
    dry_run: bool,
    push: bool,
    hostless: bool,
    form: str,
    repeat: int,
    pause: float,
    output: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Run a check now and show what the Agent would receive.

    The real check class runs through the Agent's own entry point; what it submits is shown instead of sent.

    With --push the same figures also go to the local Agent through DogStatsD, to see one set of them in Datadog
    before the Agent runs the check. Its address: DD_DOGSTATSD_URL (unix:///path or udp://host:port), else
    DD_AGENT_HOST and DD_DOGSTATSD_PORT, else udp://localhost:8125. Of a failed collection the Agent gets
    what the check would have given it: metta.check.up 0. The Agent puts its own host on what it is pushed, which
    makes other series than the check's own; --hostless keeps it off.

    \b
    Exit status:
      0  every collection succeeded
      1  a collection failed: the source, the network, a credential; or no Agent took what was pushed
      2  the command line or the configuration is wrong

    \b
    Examples:
      metta-checks collect wandb --config conf.d/metta_wandb.d/conf.yaml
      WANDB_ENTITY=my-team WANDB_PROJECT=my-project metta-checks collect wandb
      metta-checks collect wandb --repeat 3 --pause 120 --format json --output collections.json
      DD_DOGSTATSD_URL=unix:///var/run/datadog/dsd.socket metta-checks collect wandb --push --hostless
    """
    _refuse_contradictions(dry_run=dry_run, push=push, hostless=hostless, quiet=quiet, verbose=verbose)
    output = None if output == STANDARD_OUTPUT else output
    prepare_stubs()
    config = config_or_environment(config_path)
    numbers = _numbers(config, instance)
    progress = Progress(quiet=quiet)
    outcomes: list[Outcome] = []
    tables: list[str] = []
    with _pusher(hostless=hostless) if push else nullcontext() as pusher:
        for number in numbers:
            progress.say(f"{check.name}: collecting instance {number} of {len(config.instances)} …")
            for outcome in _instance_outcomes(check, config, number, repeat, pause, verbose=verbose):
                progress.clear()
                outcomes.append(outcome)
                tables.append("\n".join(outcome_text(check.name, outcome, every_series=verbose)))
                if form == "table" and output is None and not quiet:
                    echo(tables[-1] if len(tables) == 1 else f"\n{tables[-1]}")
                _report(check, outcome, verbose=verbose)
                if pusher is not None:
                    _push(pusher, outcome, aside=form == "json", quiet=quiet)
    if form == "json":
        _deliver(outcomes_json(check.name, outcomes), output)
    elif output is not None:
        _deliver(printable_lines("\n\n".join(tables)), output)
    context.exit(exit_status(outcomes))


def exit_status(outcomes: list[Outcome]) -> int:
    """2 when a configuration is wrong, else 1 when a collection failed, else 0."""
    failures = {outcome.failure for outcome in outcomes}
    if "configuration" in failures:
        return 2
    return 1 if "collection" in failures else 0


def _refuse_contradictions(*, dry_run: bool, push: bool, hostless: bool, quiet: bool, verbose: bool) -> None:
    if push and dry_run:
        raise click.UsageError("--push sends and --dry-run does not: give one of them")
    if hostless and not push:
        raise click.UsageError("--hostless says how to push: give --push too")
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other")


@contextmanager
def _pusher(*, hostless: bool) -> Iterator[Pusher]:
    """The way to the Agent, found before the source is asked; an Agent that is not there is a failure."""
    try:
        require_client()
        target = destination()
    except (MissingClientError, AddressError) as error:
        raise click.UsageError(str(error)) from None
    try:
        with Pusher(target, hostless=hostless) as pusher:
            yield pusher
    except NoAgentError as error:
        raise click.ClickException(f"not pushed: {error}") from None


def _push(pusher: Pusher, outcome: Outcome, *, aside: bool, quiet: bool) -> None:
    """Send all that the Agent would have received, the `up 0` of a failed collection too, and tell of it."""
    sent = pusher.send(outcome.series)
    if not quiet:
        echo("\n".join(sent_text(sent, pusher.destination, len(outcome.events))), err=aside)


def _numbers(config: AgentConfig, wanted: int | None) -> list[int]:
    if wanted is None:
        return list(range(1, len(config.instances) + 1))
    if wanted > len(config.instances):
        raise click.UsageError(f"--instance {wanted}: the configuration has {len(config.instances)}")
    return [wanted]


def _instance_outcomes(
    definition: CheckDefinition, config: AgentConfig, number: int, repeat: int, pause: float, *, verbose: bool
) -> Iterator[Outcome]:
    try:
        check = new_check(definition, config.init_config, config.instances[number - 1])
    except Exception as error:
        yield refused(error, instance=number)
        return
    with log_shown(check) if verbose else nullcontext():
        yield from collections(check, instance=number, repeat=repeat, pause=pause)


def _report(definition: CheckDefinition, outcome: Outcome, *, verbose: bool) -> None:
    if outcome.error is None:
        return
    echo(f"{definition.name}, instance {outcome.instance}: {outcome.error}", err=True)
    if verbose:
        echo(outcome.traceback, err=True)


def _deliver(text: str, output: Path | None) -> None:
    require_written(output or STANDARD_OUTPUT, text + "\n")

"""`metta-checks collect`: checks, run now, as the Agent would run them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from datadog_checks.base import ConfigurationError

from metta_checks.checks import CHECKS
from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.arguments import (
    ALL,
    METAVAR,
    completed,
    config_or_environment,
    output_file,
    require_written,
    several_checks,
)
from metta_checks.cli.conf_files import ConfFile, found_at
from metta_checks.cli.conf_values import placeholders
from metta_checks.cli.dogstatsd import (
    AddressError,
    MissingDogstatsdError,
    NoAgentError,
    Pusher,
    destination,
    require_client,
)
from metta_checks.cli.group import INTERRUPTED, ConfigurationFault
from metta_checks.cli.option_faults import Fault, faults_of_instance
from metta_checks.cli.render import document_json, outcome_text, sent_text
from metta_checks.cli.runner import CheckOutcome, collections, log_shown, new_check, prepare_stubs, refused
from metta_checks.cli.secret_handles import unresolved, without_handles
from metta_checks.cli.terminal import Progress, echo, echo_wrapped
from metta_checks.core.atomic_write import STANDARD_OUTPUT
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.printable import printable_lines


def up_to_a_day(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """A callback for click: refuses what cannot be slept, "nan" and "inf" among it."""
    if not 0 <= value <= 86_400:
        raise click.BadParameter("a pause is at least 0 and at most 86400 seconds", context, parameter)
    return value


ENOUGH: Final = "\b\nEnvironment variables that are enough instead of a configuration:\n" + "\n".join(
    f"  {definition.slug:<9} {' '.join(definition.variables)}" for definition in CHECKS
)


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """One instance to collect: its check, and where its options are. `path` is None for the environment."""

    definition: CheckDefinition
    config: AgentConfig
    number: int
    path: Path | None


@click.command(epilog=ENOUGH)
@click.argument(
    "checks",
    nargs=-1,
    required=True,
    callback=several_checks,
    metavar=f"{METAVAR[:-1]}|{ALL}]...",
    shell_complete=completed,
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration in the Agent's format (init_config, instances), or a folder of them, such as a conf.d. Without "
    "it, the environment is enough.",
)
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
    checks: tuple[CheckDefinition, ...],
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
    """Run checks now and show what the Agent would receive.

    The real check class runs through the Agent's own entry point; what it submits is shown instead of sent. With
    `all`, every check runs that --config or the environment configures.

    With --push the same figures also go to the local Agent through DogStatsD, to see one set of them in Datadog
    before the Agent runs the check. Its address: DD_DOGSTATSD_URL (unix:///path or udp://host:port), else
    DD_AGENT_HOST and DD_DOGSTATSD_PORT, else udp://localhost:8125. Of a failed collection the Agent gets
    what the check would have given it: metta.check.up 0. The Agent puts its own host on what it is pushed, which
    makes other series than the check's own; --hostless keeps it off.

    The JSON document of one check is an object, that of several a list of them. After Ctrl-C, the document has the
    collections that were complete.

    \b
    Exit status:
      0    every collection succeeded
      1    a collection failed (source, network, credential), or no Agent took what was pushed
      2    the command line or the configuration is wrong
      130  interrupted with Ctrl-C

    \b
    Examples:
      metta-checks collect wandb --config conf.d/metta_wandb.d/conf.yaml
      WANDB_ENTITY=my-team WANDB_PROJECT=my-project metta-checks collect wandb
      metta-checks collect all --config conf.d
      metta-checks collect wandb --repeat 3 --pause 120 --format json --output collections.json
      DD_DOGSTATSD_URL=unix:///var/run/datadog/dsd.socket metta-checks collect wandb --push --hostless
    """
    _refuse_contradictions(dry_run=dry_run, push=push, hostless=hostless, quiet=quiet, verbose=verbose)
    output = None if output == STANDARD_OUTPUT else output
    prepare_stubs()
    jobs = list(_jobs(checks, config_path, instance))
    progress = Progress(quiet=quiet)
    outcomes: dict[str, list[CheckOutcome]] = {job.definition.name: [] for job in jobs}
    tables: list[str] = []
    interrupted = False
    with _pusher(hostless=hostless) if push else nullcontext() as pusher:
        try:
            for job in jobs:
                name = job.definition.name
                progress.show(f"{name}: collecting instance {job.number} of {len(job.config.instances)} …")
                for outcome in _outcomes(job, repeat, pause, verbose=verbose):
                    progress.clear()
                    outcomes[name].append(outcome)
                    tables.append("\n".join(outcome_text(name, outcome, every_series=verbose)))
                    if form == "table" and output is None and not quiet:
                        echo(tables[-1] if len(tables) == 1 else f"\n{tables[-1]}")
                    _report(job, outcome, verbose=verbose)
                    if pusher is not None:
                        _push(pusher, outcome, aside=form == "json", quiet=quiet)
                    if repeat > 1 and outcome.collection < repeat:
                        progress.show(f"{name}: collection {outcome.collection + 1} of {repeat} …")
        except KeyboardInterrupt:
            interrupted = True
            progress.clear()
            echo(f"interrupted after {len(tables):,} collection{'' if len(tables) == 1 else 's'}", err=True)
    if form == "json":
        _deliver(document_json(outcomes), output)
    elif output is not None:
        _deliver(printable_lines("\n\n".join(tables)), output)
    context.exit(INTERRUPTED if interrupted else exit_status([one for some in outcomes.values() for one in some]))


def exit_status(outcomes: Sequence[CheckOutcome]) -> int:
    """2 when a configuration is wrong, else 1 when a collection failed, else 0."""
    failures = {outcome.failure for outcome in outcomes}
    if "configuration" in failures:
        return 2
    return 1 if "collection" in failures else 0


def _refuse_contradictions(*, dry_run: bool, push: bool, hostless: bool, quiet: bool, verbose: bool) -> None:
    if push and dry_run:
        raise click.UsageError("--push sends and --dry-run does not: give one of them")
    if hostless and not push:
        raise click.UsageError("--hostless is about pushing: give --push too")
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other")


def _jobs(checks: Sequence[CheckDefinition], path: Path | None, instance: int | None) -> Iterator[CollectionPlan]:
    """The instances to collect. Raises ConfigurationFault where there is none, or a file cannot be used."""
    found = False
    for definition, file in _files(checks, path):
        config = config_or_environment(file)
        for number in _numbers(config, instance):
            found = True
            yield CollectionPlan(definition, config, number, file)
    if not found:
        names = ", ".join(definition.name for definition in checks)
        where = f"{path} has no configuration of {names}" if path else f"no variable of {names} is set"
        raise ConfigurationFault(f"{where}: nothing to collect")


def _files(checks: Sequence[CheckDefinition], path: Path | None) -> Iterator[tuple[CheckDefinition, Path | None]]:
    """Each check with each of its files; with None for the environment."""
    if path is None:
        for definition in checks:
            if len(checks) == 1 or _has_variables(definition):
                yield definition, None
            else:
                echo(f"{definition.name}: left out, none of {', '.join(definition.variables)} is set", err=True)
    elif not path.is_dir():
        if len(checks) > 1:
            raise click.UsageError(f"--config {path} is one file: name its check alone, or give a folder")
        yield checks[0], path
    else:
        files = _conf_files(path, checks)
        yield from ((one, file.path) for one in checks for file in files if file.definition == one)


def _conf_files(path: Path, checks: Iterable[CheckDefinition]) -> list[ConfFile]:
    try:
        return [one for one in found_at(path, None) if isinstance(one, ConfFile) and one.definition in checks]
    except OSError as error:
        raise ConfigurationFault(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None


def _has_variables(definition: CheckDefinition) -> bool:
    variables = definition.check_class().VARIABLES.values()
    return any(os.environ.get(variable.name, "").strip() for variable in variables)


def _numbers(config: AgentConfig, wanted: int | None) -> list[int]:
    if wanted is None:
        return list(range(1, len(config.instances) + 1))
    if wanted > len(config.instances):
        raise click.UsageError(f"--instance {wanted}: the configuration has {len(config.instances)}")
    return [wanted]


@contextmanager
def _pusher(*, hostless: bool) -> Iterator[Pusher]:
    """The way to the Agent, found before the source is asked; an Agent that is not there is a failure."""
    try:
        require_client()
        target = destination()
    except (MissingDogstatsdError, AddressError) as error:
        raise ConfigurationFault(str(error)) from None
    try:
        with Pusher(target, hostless=hostless) as pusher:
            yield pusher
    except NoAgentError as error:
        raise click.ClickException(f"not pushed: {error}") from None


def _push(pusher: Pusher, outcome: CheckOutcome, *, aside: bool, quiet: bool) -> None:
    """Send all that the Agent would have received, the `up 0` of a failed collection too, and report it."""
    sent = pusher.send(outcome.series)
    if not quiet:
        echo("\n".join(sent_text(sent, pusher.destination, len(outcome.events))), err=aside)


def _outcomes(job: CollectionPlan, repeat: int, pause: float, *, verbose: bool) -> Iterator[CheckOutcome]:
    given = job.config.instances[job.number - 1]
    if unfilled := [f"`{fault.option}`: {fault.text}" for fault in placeholders(given)]:
        yield refused(ConfigurationError("\n".join(unfilled)), instance=job.number)
        return
    try:
        resolved = without_handles(job.definition, given, job.number)
        check = new_check(job.definition, job.config.init_config, resolved)
    except Exception as error:
        yield refused(error, instance=job.number)
        return
    with log_shown(check) if verbose else nullcontext():
        yield from collections(check, instance=job.number, repeat=repeat, pause=pause)


def _report(job: CollectionPlan, outcome: CheckOutcome, *, verbose: bool) -> None:
    """The error of a failed collection; where the configuration is at fault, all of its faults."""
    if outcome.error is None:
        return
    definition, config = job.definition, job.config
    given = config.instances[job.number - 1]
    is_configuration = outcome.failure == "configuration"
    faults: list[Fault] = []
    if is_configuration:
        unfilled = list(placeholders(given))
        filled = {option: value for option, value in given.items() if option not in {one.option for one in unfilled}}
        found = faults_of_instance(definition, config.init_config, filled)
        handles = [Fault(error.option, error.problem) for error in unresolved(definition, given)]
        faults = [
            *unfilled,
            *handles,
            *(one for one in found if one.option not in {fault.option for fault in unfilled}),
        ]
    texts = [f"`{fault.option}`: {fault.text}" if fault.option else fault.text for fault in faults]
    # The text of a model's error is not for an operator, and has several lines.
    texts = texts if len(texts) > 1 or (texts and "\n" in outcome.error) else [outcome.error]
    unset = _unset_credentials(job) if is_configuration else []
    if unset:
        texts.append(f"{' and '.join(unset)} is not set either")
    # The instance names an App: a person's token would not be used.
    uses_app = given.get("app_id") is not None
    if definition.credential_hint and (unset or outcome.lacks_credential) and not uses_app:
        texts.append(definition.credential_hint)
    for text in texts:
        for paragraph in f"{definition.name}, instance {outcome.instance}: {text}".split("\n"):
            echo_wrapped(paragraph, err=True)
    if verbose:
        echo(outcome.traceback, err=True)


def _unset_credentials(job: CollectionPlan) -> list[str]:
    """The variables that would hold the credential, where the options come from the environment and it has none."""
    of_options = {variable.name for variable in job.definition.check_class().VARIABLES.values()}
    named = [name for name in job.definition.variables if name not in of_options]
    return [] if job.path is not None or any(os.environ.get(name, "").strip() for name in named) else named


def _deliver(text: str, output: Path | None) -> None:
    require_written(output or STANDARD_OUTPUT, text + "\n")

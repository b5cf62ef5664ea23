"""`metta-checks collect`: one check, run now, as the Agent would run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.catalogue import CHECKS, CheckEntry, check_entry
from metta_checks.cli.render import outcome_text, outcomes_json
from metta_checks.cli.runner import Outcome, collections, new_check, prepare_stubs
from metta_checks.core.files import write_atomically


def entry_of(context: click.Context, parameter: click.Parameter, value: str) -> CheckEntry:
    """A callback for click: the check behind a slug or a name."""
    try:
        return check_entry(value)
    except KeyError as error:
        raise click.BadParameter(error.args[0], context, parameter) from None


@click.command()
@click.argument("check", callback=entry_of, metavar=f"[{'|'.join(entry.slug for entry in CHECKS)}]")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration in the Agent's format (init_config, instances). Without it, the environment is enough.",
)
@click.option("--instance", type=click.IntRange(min=1), help="Only this instance of the file, counted from 1.")
@click.option("--dry-run", is_flag=True, help="Collect and show, send nothing. This is the default.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Collections per instance.")
@click.option(
    "--pause",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Seconds between repeated collections.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write there instead of to standard output.")
@click.option("--verbose", is_flag=True, help="Show every series, the check's log, and tracebacks.")
@click.pass_context
def collect(
    context: click.Context,
    check: CheckEntry,
    config_path: Path | None,
    instance: int | None,
    dry_run: bool,  # noqa: ARG001 (nothing else can be asked for yet)
    form: str,
    repeat: int,
    pause: float,
    output: Path | None,
    verbose: bool,
) -> None:
    """Run a check now and show what the Agent would receive.

    The real check class runs through the Agent's own entry point; what it submits is shown instead of sent.

    \b
    Exit status:
      0  every collection succeeded
      1  a collection failed: the source, the network, a credential
      2  the command line or the configuration is wrong

    \b
    Examples:
      metta-checks collect wandb --config conf.d/metta_wandb.d/conf.yaml
      WANDB_ENTITY=my-team WANDB_PROJECT=my-project metta-checks collect wandb
      metta-checks collect wandb --config conf.yaml --repeat 3 --pause 120 --format json --output out.json
    """
    prepare_stubs()
    config = _config(config_path)
    numbers = _numbers(config, instance)
    outcomes: list[Outcome] = []
    lines: list[str] = []
    for number in numbers:
        for outcome in _instance_outcomes(check, config, number, repeat, pause):
            outcomes.append(outcome)
            if form == "table":
                lines += [*outcome_text(check.name, outcome, every_series=verbose), ""]
            _report(check, outcome, verbose=verbose)
    text = outcomes_json(check.name, outcomes) if form == "json" else "\n".join(lines).rstrip()
    _deliver(text, output)
    context.exit(exit_status(outcomes))


def exit_status(outcomes: list[Outcome]) -> int:
    """2 when a configuration is wrong, else 1 when a collection failed, else 0."""
    failures = {outcome.failure for outcome in outcomes}
    if "configuration" in failures:
        return 2
    return 1 if "collection" in failures else 0


def _config(path: Path | None) -> AgentConfig:
    if path is None:
        return AgentConfig({}, ({},))
    try:
        return read_agent_config(path)
    except ConfigFileError as error:
        raise click.UsageError(str(error)) from None


def _numbers(config: AgentConfig, wanted: int | None) -> list[int]:
    if wanted is None:
        return list(range(1, len(config.instances) + 1))
    if wanted > len(config.instances):
        raise click.UsageError(f"--instance {wanted}: the configuration has {len(config.instances)}")
    return [wanted]


def _instance_outcomes(
    entry: CheckEntry, config: AgentConfig, number: int, repeat: int, pause: float
) -> Iterator[Outcome]:
    check = new_check(entry, config.init_config, config.instances[number - 1])
    yield from collections(check, instance=number, repeat=repeat, pause=pause)


def _report(entry: CheckEntry, outcome: Outcome, *, verbose: bool) -> None:
    if outcome.error is None:
        return
    click.echo(f"{entry.name}, instance {outcome.instance}: {outcome.error}", err=True)
    if verbose:
        click.echo(outcome.traceback, err=True)


def _deliver(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text)
        return
    try:
        write_atomically(output, text + "\n")
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}") from None

"""`metta-checks verify`: a check's figures compared with an independent count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import datadog_agent

from metta_checks.checks import find_check
from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.arguments import config_option, config_or_environment
from metta_checks.cli.group import ConfigurationFault, install_command
from metta_checks.cli.independent_wandb import Scope, Series, independent_count
from metta_checks.cli.runner import CheckOutcome, discovered, new_check, prepare_stubs, run_once
from metta_checks.cli.secret_handles import config_without_handles
from metta_checks.cli.terminal import Progress, echo, wrapped
from metta_checks.cli.verdict_wandb import Difference, Moment, SeriesVerdict, run_of, tag_value, verdict
from metta_checks.cli.verify_ci import verify_ci
from metta_checks.cli.wandb_sdk import Question, SdkError, SdkReading, is_installed, read_project
from metta_checks.core import CredentialError, MettaCheck, SourceError
from metta_checks.core.agent_options import agent_tags

SHOWN: Final = 40
"""Differences that are shown, unless all are asked for."""

NAMED: Final = 8
"""Runs that are named where a list of them could be long."""

UNLIMITED: Final = {"max_runs": 1_000_000, "distributions": False, "events": False}
"""Every run is looked at, also those that the instance's limit would leave out."""


class UnverifiableError(Exception):
    """One of the two sides could not be read; the text names it and the cause."""


@click.group()
def verify() -> None:
    """Compare a check's figures with an independent count.

    `wandb` reads the project with the official W&B SDK and counts again, by other code, what the check counts. `ci`
    reads every page that GitHub has of the window, without any of the check's ways to save requests.

    \b
    Exit status:
      0  all figures are equal
      1  there are differences, or one of the two sides could not be read
      2  the command line or the configuration is wrong, or the SDK is not installed

    \b
    Examples:
      metta-checks verify wandb --config conf.d/metta_wandb.d/conf.yaml
      WANDB_ENTITY=my-team WANDB_PROJECT=my-project metta-checks verify wandb
      metta-checks verify ci --config conf.d/metta_ci.d/conf.yaml
    """


verify.add_command(verify_ci)


@verify.command("wandb")
@config_option
@click.option("--instance", type=click.IntRange(min=1), help="Only this instance of the file, counted from 1.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=86_400),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long the SDK may take for one project.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show every difference and name every run.")
@click.pass_context
def verify_wandb(
    context: click.Context, config_path: Path | None, instance: int | None, timeout: float, verbose: bool
) -> None:
    """Read the project with the official SDK too, and show where its figures differ from the check's.

    The check collects, then the SDK reads the same runs, then the check collects again: a run that changed in between
    is named as moved, and no difference. A count of runs may differ by those that came, went or changed their state
    in between, and by no more. What is not judged for that is not counted as equal.

    The SDK reads all of every run in the timeframe, which takes a request per hundred runs or two, and one per run
    where it cannot decode one of them. `max_runs` does not count here, and `run_tags: [host]` is not compared, since
    the SDK does not return it.

    It needs the SDK, which no check does: pip install wandb.

    \b
    Exit status:
      0  all figures are equal
      1  there are differences, or one of the two sides could not be read
      2  the command line or the configuration is wrong, or the SDK is not installed

    \b
    Examples:
      metta-checks verify wandb --config conf.d/metta_wandb.d/conf.yaml
      metta-checks verify wandb --config conf.yaml --instance 2 --verbose
    """
    if not is_installed():
        raise ConfigurationFault(f"the wandb SDK is not installed: {install_command('wandb')}")
    prepare_stubs()
    config = config_or_environment(config_path)
    numbers = range(1, len(config.instances) + 1) if instance is None else [instance]
    if instance is not None and instance > len(config.instances):
        raise click.UsageError(f"--instance {instance}: the configuration has {len(config.instances)}")
    config = config_without_handles(find_check("wandb"), config, numbers)
    status = 0
    for number, project in _projects_of(config, numbers):
        comparison = Comparison(config, number, timeout, project)
        try:
            found, reading = comparison.run()
        except ConfigurationError as error:
            raise click.UsageError(f"instance {number}: {error}") from None
        except UnverifiableError as error:
            echo(f"metta_wandb, instance {number}: {error}", err=True)
            status = 1
            continue
        echo("\n".join(_told(comparison.title, found, reading, verbose=verbose)))
        status = 1 if found.differences else status
    context.exit(status)


def _projects_of(config: AgentConfig, numbers: Iterable[int]) -> Iterator[tuple[int, str | None]]:
    """The instances by number, and each project of those that have several."""
    for number in numbers:
        check = new_check(find_check("wandb"), config.init_config, config.instances[number - 1])
        try:
            check.load_options()
            if not check.discovers:
                yield number, None
                continue
            found = discovered(check)
        except ConfigurationError as error:
            raise click.UsageError(f"instance {number}: {error}") from None
        except (CredentialError, SourceError) as error:
            raise click.ClickException(f"metta_wandb, instance {number}: {error}") from None
        for target in found:
            yield number, target.identity["project"]


class Comparison:
    """One project of an instance, read from both sides: the instance's own, or `project` of those that it watches."""

    def __init__(self, config: AgentConfig, number: int, timeout: float, project: str | None = None) -> None:
        self._config = config
        self._number = number
        self._project = {} if project is None else {"project": project, "projects": None}
        self._timeout = timeout
        self._progress = Progress()
        self.title = f"metta_wandb, instance {number}"

    def run(self) -> tuple[SeriesVerdict, SdkReading]:
        """Read both sides. Raises ConfigurationError, and UnverifiableError where one cannot be read."""
        check = self._check()
        asked = Scope.of(check.config)
        self.title = f"{self.title}: {asked.entity}/{asked.project}"
        try:
            before = self._collected(check)
            reading = self._read(check, asked, before)
            after = self._collected(self._check())
        finally:
            self._progress.clear()
        common = _common_tags(check)
        moments = [
            Moment(_figures(outcome), _with(common, independent_count(reading.runs, asked, outcome.at)))
            for outcome in (before, after)
        ]
        return verdict(moments[0], moments[1], reading.unreadable), reading

    def _check(self) -> MettaCheck:
        given = self._config.instances[self._number - 1]
        check = new_check(find_check("wandb"), self._config.init_config, {**given, **self._project, **UNLIMITED})
        check.load_options()
        return check

    def _collected(self, check: MettaCheck) -> CheckOutcome:
        self._progress.show(f"{self.title}: the check collects …")
        # Each collection is a first one, to which every run in the timeframe is news.
        datadog_agent.reset()
        outcome = run_once(check, instance=self._number, collection=1)
        if outcome.error is not None:
            raise UnverifiableError(outcome.error)
        return outcome

    def _read(self, check: MettaCheck, asked: Scope, before: CheckOutcome) -> SdkReading:
        self._progress.show(f"{self.title}: the SDK reads …")
        base_url = check.targets()[0].identity["base_url"]
        try:
            key = check.credentials.get().value
            question = Question(base_url, key, asked.entity, asked.project, since=asked.since(before.at))
            environment = _http_environment(check)
            return read_project(question, timeout=self._timeout, environment=environment, scrub=check.sanitize)
        except (CredentialError, SdkError) as error:
            raise UnverifiableError(str(error)) from None


def _http_environment(check: MettaCheck) -> Mapping[str, str]:
    """The instance's proxy and TLS options, as the SDK and its child process take them."""
    options: Mapping[str, Any] = check.http.options
    environment = {
        name: str(value)
        for scheme, value in (options["proxies"] or {}).items()
        for name in (f"{scheme.upper()}_PROXY", f"{scheme.lower()}_proxy")
        if value
    }
    if options["verify"] is False:
        environment["WANDB_INSECURE_DISABLE_SSL"] = "true"
    elif isinstance(options["verify"], str):
        environment |= dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), options["verify"])
    return environment


def _common_tags(check: MettaCheck) -> tuple[str, ...]:
    return (*check.instance_tags, *agent_tags(check.instance, check.init_config))


def _figures(outcome: CheckOutcome) -> dict[Series, float]:
    return {
        (series.metric, tuple(text for text in series.tags if not text.startswith("run_host:"))): series.value
        for series in outcome.series
        if series.metric.startswith("wandb.")
    }


def _with(common: tuple[str, ...], figures: Mapping[Series, float]) -> dict[Series, float]:
    return {(metric, tuple(sorted({*tags, *common}))): value for (metric, tags), value in figures.items()}


def _told(title: str, found: SeriesVerdict, reading: SdkReading, *, verbose: bool) -> Iterator[str]:
    runs = f"{len(reading.runs):,} runs as the wandb SDK {reading.version} reads them"
    yield from wrapped(f"{title}, {runs}")
    if found.differences:
        yield f"  DIFFERENT: {len(found.differences):,} of {found.compared:,} series"
        yield from _table(found.differences if verbose else found.differences[:SHOWN])
        if len(found.differences) > SHOWN and not verbose:
            yield f"  … and {len(found.differences) - SHOWN:,} more; --verbose shows them"
    else:
        yield f"  equal: {found.compared:,} series"
    if found.moved:
        yield from _named("changed meanwhile", found.moved, verbose=verbose)
    if found.unjudged:
        yield f"  not compared, because what changed may be the reason: {found.unjudged:,} series"
    if reading.unreadable:
        yield from _named("not compared, since the SDK cannot decode them", reading.unreadable, verbose=verbose)


def _table(differences: tuple[Difference, ...]) -> Iterator[str]:
    yield _row("METRIC", "RUN", "OF", "CHECK", "SDK")
    for difference in differences:
        series = difference.series
        run_id = run_of(series)
        named = tag_value(series, "metric_name") or tag_value(series, "metric")
        details = [tag_value(series, "state"), named if run_id else tag_value(series, "run_type")]
        yield _row(
            series[0],
            run_id or "",
            " ".join(detail for detail in details if detail),
            _number(difference.ours),
            _number(difference.theirs),
        )


def _row(metric: str, run_id: str, details: str, ours: str, theirs: str) -> str:
    line = f"  {metric:<33} {_cut(run_id, 10):<10} {_cut(details, 26):<26} {ours:>11} {theirs:>11}"
    return line.rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _named(what: str, run_ids: Any, *, verbose: bool) -> Iterator[str]:
    listed = sorted(run_ids)
    shown = listed if verbose else listed[:NAMED]
    more = f" and {len(listed) - len(shown):,} more" if len(listed) > len(shown) else ""
    counted = f"{len(listed):,} {'run' if len(listed) == 1 else 'runs'}"
    yield from wrapped(f"{what}: {counted}: {', '.join(shown)}{more}", indent="  ")

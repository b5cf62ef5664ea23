"""`metta-checks verify ci`: a day of CI, counted again by brute force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import requests
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import datadog_agent

from metta_checks.checks import find_check
from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.arguments import config_option, config_or_environment
from metta_checks.cli.independent_ci import CiQuestion, Figure, Get, independent_count
from metta_checks.cli.runner import CheckOutcome, discovered, new_check, prepare_stubs, run_once
from metta_checks.cli.secret_handles import config_without_handles
from metta_checks.cli.terminal import Progress, echo
from metta_checks.core import CredentialError, MettaCheck, SourceError
from metta_checks.core.transport import BearerAuth

NAMESPACE: Final = "metta.infra.cron."

CLOSE: Final = 1e-9
"""Two ways to divide may differ in the last digit."""


class UncountableError(Exception):
    """GitHub could not be read to the end; the text names the place."""


@click.command("ci")
@config_option
@click.option("--instance", type=click.IntRange(min=1), default=1, show_default=True, help="Which one of the file.")
@click.pass_context
def verify_ci(context: click.Context, config_path: Path | None, instance: int) -> None:
    """Count a day of CI again by brute force, and show where the figures differ from the check's.

    The check collects, then every hour of the window is listed page by page, every earlier attempt and the runs of
    every workflow are asked for, and then the check collects again: a figure that changed in between is named as
    moved. That takes some 150 requests for a repository with 40 workflows, so it needs a token.

    \b
    Exit status:
      0  all figures are equal
      1  there are differences, or GitHub could not be read
      2  the command line or the configuration is wrong

    \b
    Examples:
      metta-checks verify ci --config conf.d/metta_ci.d/conf.yaml
      GITHUB_REPOSITORY=my-org/my-repo GITHUB_TOKEN=… metta-checks verify ci
    """
    prepare_stubs()
    config = config_or_environment(config_path)
    if instance > len(config.instances):
        raise click.UsageError(f"--instance {instance}: the configuration has {len(config.instances)}")
    config = config_without_handles(find_check("ci"), config, [instance])
    status = 0
    try:
        for only in _repositories(config, instance):
            lines, equal = _compared(config, instance, only)
            echo("\n".join(lines))
            status = status if equal else 1
    except ConfigurationError as error:
        raise click.UsageError(f"instance {instance}: {error}") from None
    except UncountableError as error:
        echo(f"metta_ci, instance {instance}: {error}", err=True)
        context.exit(1)
    context.exit(status)


def _repositories(config: AgentConfig, number: int) -> list[Mapping[str, Any]]:
    """The options that make an instance of each repository that this one watches; none of its own for a single one."""
    check = _check(config, number, {})
    if not check.discovers:
        return [{}]
    try:
        found = discovered(check)
    except (CredentialError, SourceError) as error:
        raise UncountableError(str(error)) from None
    alone = {"organization": None, "repos": None}
    return [{**alone, "repo": one.identity["repo"], "branch": one.identity["branch"]} for one in found]


def _compared(config: AgentConfig, number: int, only: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The report of one repository, and whether the two counts are equal."""
    progress = Progress()
    check = _check(config, number, only)
    identity = check.targets()[0].identity
    question = CiQuestion.of(check.config, repo=identity["repo"], branch=identity["branch"])
    try:
        progress.show("the check collects …")
        before = _collected(check, number)
        progress.show("GitHub is read page by page …")
        requests_sent: list[str] = []
        theirs = independent_count(_getter(check, requests_sent), question, before.at)
        progress.show("the check collects again …")
        after = _collected(_check(config, number, only), number)
    finally:
        progress.clear()
    ours, later = _figures(before), _figures(after)
    different = [figure for figure in sorted(ours.keys() | theirs.keys()) if not _same(ours, theirs, figure)]
    moved = [figure for figure in different if not _same(ours, later, figure)]
    judged = [figure for figure in different if figure not in moved]
    lines = [
        f"metta_ci, instance {number}: {question.repo}, counted independently with {len(requests_sent):,} requests"
    ]
    if judged:
        lines += [f"  DIFFERENT: {len(judged):,} of {len(ours):,} figures", *_table(judged, ours, theirs)]
    else:
        lines.append(f"  equal: {len(ours) - len(moved):,} figures")
    if moved:
        lines.append(f"  changed meanwhile, and therefore not compared: {len(moved):,}")
    return lines, not judged


def _check(config: AgentConfig, number: int, only: Mapping[str, Any]) -> MettaCheck:
    changed = {"distributions": False, "events": False, **only}
    check = new_check(find_check("ci"), config.init_config, {**config.instances[number - 1], **changed})
    check.load_options()
    return check


def _collected(check: MettaCheck, number: int) -> CheckOutcome:
    # Without what earlier processes saw: runs deleted since then are in no listing.
    datadog_agent.reset()
    outcome = run_once(check, instance=number, collection=1)
    if outcome.error is not None:
        raise UncountableError(outcome.error)
    return outcome


def _getter(check: MettaCheck, sent: list[str]) -> Get:
    try:
        auth = BearerAuth(check.credentials.get().value)
    except CredentialError as error:
        raise UncountableError(
            f"counting again takes more requests than GitHub grants without a token: {error}"
        ) from None
    base = check.targets()[0].identity["api_url"]

    def get(path: str, query: Mapping[str, str]) -> Any:
        sent.append(path)
        try:
            answer = check.http.get(f"{base}{path}", params=dict(query), auth=auth)
            if answer.status_code != 200:
                raise UncountableError(f"GitHub: GET {path}: HTTP {answer.status_code}")
            return answer.json()
        except (requests.exceptions.RequestException, ValueError) as error:
            raise UncountableError(f"GitHub: GET {path}: {type(error).__name__}") from None

    return get


def _figures(outcome: CheckOutcome) -> dict[Figure, float]:
    figures: dict[Figure, float] = {}
    for series in outcome.series:
        if series.metric.startswith(NAMESPACE) and series.kind == "gauge":
            tags = dict(text.split(":", 1) for text in series.tags)
            key = series.metric.removeprefix(NAMESPACE), tags.get("workflow", ""), tags.get("conclusion", "")
            figures[key] = series.value
    return figures


def _same(ours: Mapping[Figure, float], theirs: Mapping[Figure, float], figure: Figure) -> bool:
    one, other = ours.get(figure), theirs.get(figure)
    return one == other or (one is not None and other is not None and abs(one - other) <= CLOSE * max(1.0, abs(one)))


def _table(figures: list[Figure], ours: Mapping[Figure, float], theirs: Mapping[Figure, float]) -> Iterator[str]:
    yield f"  {'METRIC':<36} {'OF':<34} {'CHECK':>11} {'COUNT':>11}"
    for figure in figures:
        metric, workflow, conclusion = figure
        details = f"{workflow} {conclusion}".strip()[:34]
        yield f"  {metric:<36} {details:<34} {_number(ours.get(figure)):>11} {_number(theirs.get(figure)):>11}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"

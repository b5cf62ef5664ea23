"""`metta-checks estimate`: what a configuration will cost, by arithmetic alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from datadog_checks.base import ConfigurationError

from metta_checks.cli.agent_config import ConfigFileError, read_agent_config
from metta_checks.cli.check_names import METAVAR, completed, optional_check
from metta_checks.cli.conf_files import ConfFile, found_at
from metta_checks.cli.render import wrapped
from metta_checks.cli.runner import new_check, prepare_stubs
from metta_checks.cli.terminal import echo
from metta_checks.core import MettaCheck
from metta_checks.core.cost import Cost, Workload
from metta_checks.core.definition import CheckDefinition


@dataclass(frozen=True, slots=True)
class Estimate:
    """One instance: its cost, and what it would be with other options."""

    instance: int
    interval: int
    budget: int | None
    cost: Cost
    others: tuple[tuple[str, Cost], ...]


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option(
    "--check",
    callback=optional_check,
    metavar=METAVAR,
    shell_complete=completed,
    help="What the configuration is for, if its place does not tell.",
)
@click.option(
    "--runs-per-day", type=click.FloatRange(min=0), default=50, show_default=True, help="W&B runs, or workflow runs."
)
@click.option(
    "--mean-hours", type=click.FloatRange(min=0), default=4, show_default=True, help="How long a W&B run lasts."
)
@click.option("--workflows", type=click.IntRange(min=0), default=20, show_default=True, help="Active GitHub workflows.")
@click.option("--records", type=click.IntRange(min=0), default=20, show_default=True, help="Health records.")
@click.option("--percentiles", is_flag=True, help="Percentiles are switched on at Datadog: distributions cost double.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def estimate(
    config_path: Path,
    check: CheckDefinition | None,
    runs_per_day: float,
    mean_hours: float,
    workflows: int,
    records: int,
    percentiles: bool,
    form: str,
) -> None:
    """Say how many custom metrics a configuration costs, and how many requests. Nothing is asked of any source.

    Datadog bills the average over all hours of the distinct series in each. A series is a metric with one set of
    tags: a gauge costs one, a distribution five, with percentiles ten. A run that is alive at the full hour is
    counted in both hours, and so is one that ends: as running, and as finished.

    The figures are for the average hour of the load that you give. What an hour really came to is in `agent
    diagnose`; with the option `series_budget` the check warns in `agent status` when it is over.

    \b
    Exit status:
      0  the estimate is shown
      2  the command line or the configuration is wrong

    \b
    Examples:
      metta-checks estimate --config conf.d/metta_wandb.d/conf.yaml --runs-per-day 200 --mean-hours 6
      metta-checks estimate --config conf.d/metta_ci.d/conf.yaml --workflows 40 --runs-per-day 600
      metta-checks estimate --config mine.yaml --check training --records 120 --format json
    """
    prepare_stubs()
    file = _file(config_path, check)
    workload = Workload(runs_per_day, mean_hours, workflows, records, percentiles)
    estimates = _estimates(file, workload)
    if form == "json":
        echo(json.dumps([_as_json(one, file.definition, percentiles=percentiles) for one in estimates], indent=1))
        return
    for number, one in enumerate(estimates):
        echo("\n" * (number > 0) + "\n".join(_table(one, file.definition, percentiles=percentiles)))


def _file(path: Path, check: CheckDefinition | None) -> ConfFile:
    found = next(iter(found_at(path, check)))
    if isinstance(found, ConfFile):
        return found
    raise click.UsageError(f"{path}: {getattr(found, 'text', 'this is no configuration of a check')}")


def _estimates(file: ConfFile, workload: Workload) -> list[Estimate]:
    try:
        config = read_agent_config(file.path)
        return [
            _estimate(number, file.definition, config.init_config, given, workload)
            for number, given in enumerate(config.instances, 1)
        ]
    except ConfigFileError as error:
        raise click.UsageError(str(error)) from None
    except (ConfigurationError, ValueError) as error:
        raise click.UsageError(f"{error}\nRun `metta-checks validate {file.path}` for all faults.") from None


def _estimate(
    number: int, definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any], workload: Workload
) -> Estimate:
    formula = definition.cost()
    check = _loaded(definition, shared, given)
    present = formula.cost(check.config, workload)
    others = []
    for other in formula.what_ifs:
        cost = formula.cost(_loaded(definition, shared, {**given, **other.options}).config, workload)
        if cost != present:
            others.append((other.label, cost))
    return Estimate(number, check.config.min_collection_interval, check.series_budget, present, tuple(others))


def _loaded(definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]) -> MettaCheck:
    check = new_check(definition, shared, given)
    check.load_options()
    return check


def _table(one: Estimate, definition: CheckDefinition, *, percentiles: bool) -> Iterator[str]:
    total = one.cost.billed(percentiles=percentiles)
    yield f"{definition.name}, instance {one.instance}: about {_number(total)} billed series in an average hour"
    yield f"  for {one.cost.assumed}, collected every {one.interval} s"
    if one.budget is not None:
        yield f"  of a series_budget of {one.budget:,}{': it would warn' if total > one.budget else ''}"
    yield ""
    yield f"  {'METRIC':<52} {'TAG SETS':>10} {'BILLED':>10}"
    for item in one.cost.items:
        if item.tag_sets:
            billed = _number(item.billed(percentiles=percentiles))
            name = f"{item.metric} (distribution)" if item.kind == "distribution" else item.metric
            yield f"  {name:<52} {_number(item.tag_sets):>10} {billed:>10}"
    yield ""
    requests = one.cost.requests
    share = f", {requests.hourly / requests.quota:.1%} of the quota" if requests.quota else ""
    yield from wrapped(f"requests: about {_number(requests.hourly)} an hour{share}: {requests.says}", indent="  ")
    if one.others:
        yield ""
        yield f"  {'WHAT IF':<52} {'BILLED':>10} {'CHANGE':>10}"
    for label, cost in one.others:
        billed_then = cost.billed(percentiles=percentiles)
        yield f"  {label:<52} {_number(billed_then):>10} {_signed(billed_then - total):>10}"


def _as_json(one: Estimate, definition: CheckDefinition, *, percentiles: bool) -> dict[str, Any]:
    requests = one.cost.requests
    return {
        "check": definition.name,
        "instance": one.instance,
        "billed_per_hour": round(one.cost.billed(percentiles=percentiles), 1),
        "series_budget": one.budget,
        "metrics": [
            {
                "metric": item.metric,
                "type": item.kind,
                "tag_sets": round(item.tag_sets, 1),
                "billed": round(item.billed(percentiles=percentiles), 1),
            }
            for item in one.cost.items
        ],
        "requests_per_hour": round(requests.hourly, 1),
        "quota_per_hour": requests.quota,
        "what_if": {label: round(cost.billed(percentiles=percentiles), 1) for label, cost in one.others},
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-'}{_number(abs(value))}"

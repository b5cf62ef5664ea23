"""`metta-checks estimate`: what configurations will cost, by arithmetic alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from datadog_checks.base import ConfigurationError

from metta_checks.cli.agent_config import ConfigFileError, read_agent_config
from metta_checks.cli.arguments import METAVAR, completed, optional_check
from metta_checks.cli.conf_files import ConfFile, FileFinding, found_at
from metta_checks.cli.conf_values import filled
from metta_checks.cli.group import ConfigurationFault
from metta_checks.cli.runner import new_check, prepare_stubs
from metta_checks.cli.terminal import echo, in_columns, wrapped
from metta_checks.core import MettaCheck
from metta_checks.core.cost import Cost, Requests, Workload
from metta_checks.core.definition import CheckDefinition

HOURS_A_MONTH: Final = 730
"""Hours of an average month."""

MODEL: Final = (
    "assumes Datadog's cardinality pricing: the distinct series of each hour, averaged over the hours of the month, so "
    "that an average hour is also the month. Contracts with metric-name pricing bill names and points instead"
)
"""The billing model. Source: Datadog's page on the billing of custom metrics."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One instance: its cost, and what it would be with other options."""

    file: ConfFile
    instance: int
    interval: int
    budget: int | None
    cost: Cost
    others: tuple[tuple[str, Cost], ...]

    @property
    def names(self) -> int:
        """The metric names that have series."""
        return sum(item.tag_sets > 0 for item in self.cost.items)

    @property
    def points_a_month(self) -> float:
        """Points of gauges; those of distributions are as many as what ends."""
        gauges = sum(item.tag_sets for item in self.cost.items if item.kind == "gauge")
        return gauges * 3600 / self.interval * HOURS_A_MONTH


@dataclass(frozen=True, slots=True)
class Pricing:
    """What decides the bill beside the series: percentiles, and the price of 100 custom metrics a month, if given."""

    percentiles: bool
    price: float | None

    def billed(self, cost: Cost) -> float:
        """Billed series of an average hour, and so of the month."""
        return cost.billed(percentiles=self.percentiles)

    def money(self, billed: float) -> float | None:
        """What so many billed series cost a month."""
        return None if self.price is None else billed / 100 * self.price


@click.command()
@click.option(
    "--config",
    "config_paths",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
    help="A configuration file, or a folder of them such as a conf.d; may be given several times.",
)
@click.option(
    "--check",
    callback=optional_check,
    metavar=METAVAR,
    shell_complete=completed,
    help="The check of the configuration, if its place does not show it.",
)
@click.option(
    "--runs-per-day",
    type=click.FloatRange(min=0),
    default=50,
    show_default=True,
    help="W&B runs, or workflow runs, of all projects or repositories of an instance together.",
)
@click.option(
    "--mean-hours", type=click.FloatRange(min=0), default=4, show_default=True, help="How long a W&B run lasts."
)
@click.option(
    "--workflows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Active GitHub workflows of all repositories of an instance together.",
)
@click.option(
    "--projects",
    type=click.IntRange(min=0),
    help="Projects that the patterns of `projects` match. [default: its `limit`]",
)
@click.option(
    "--repositories",
    type=click.IntRange(min=0),
    help="Repositories that the patterns of `repos` match. [default: its `limit`]",
)
@click.option("--records", type=click.IntRange(min=0), default=20, show_default=True, help="Health records.")
@click.option("--percentiles", is_flag=True, help="Percentiles are switched on at Datadog: distributions cost double.")
@click.option(
    "--price",
    type=click.FloatRange(min=0),
    metavar="AMOUNT",
    help="What 100 custom metrics cost a month in your contract; shows the cost a month.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def estimate(
    config_paths: tuple[Path, ...],
    check: CheckDefinition | None,
    runs_per_day: float,
    mean_hours: float,
    workflows: int,
    projects: int | None,
    repositories: int | None,
    records: int,
    percentiles: bool,
    price: float | None,
    form: str,
) -> None:
    """Estimate the custom metrics and the requests of configurations. No source is contacted.

    The estimate assumes Datadog's cardinality pricing: the average over all hours of the month of the distinct series
    in each. A series is a metric with one set of tags: a gauge costs one, a distribution five, with percentiles ten.
    Contracts with metric-name pricing bill names and points instead; both are in the last line. A run that is alive at
    the full hour is counted in both hours, and so is one that ends: as running, and as finished.

    The figures are for the average hour of the load that you give. An instance with patterns is assumed to match as
    many projects or repositories as its `limit` allows; --projects and --repositories set another number.

    What an hour really came to is in `agent diagnose`; with the option `series_budget` the check warns in `agent
    status` when it is over.

    \b
    Exit status:
      0  the estimate is shown
      2  the command line or the configuration is wrong

    \b
    Examples:
      metta-checks estimate --config conf.d/metta_wandb.d/conf.yaml --runs-per-day 200 --mean-hours 6
      metta-checks estimate --config conf.d/metta_ci.d/conf.yaml --workflows 40 --runs-per-day 600
      metta-checks estimate --config mine.yaml --check training --records 120 --format json
      metta-checks estimate --config conf.d --price 5
    """
    prepare_stubs()
    pricing = Pricing(percentiles, price)
    workload = Workload(runs_per_day, mean_hours, workflows, records, percentiles, projects, repositories)
    estimates = [one for file in _files(config_paths, check) for one in _estimates(file, workload)]
    if form == "json":
        echo(json.dumps([_as_json(one, pricing) for one in estimates], indent=1))
        return
    for one in estimates:
        echo("\n".join(_table(one, pricing)) + "\n")
    for line in _summary(estimates, pricing):
        echo(line)


def _files(paths: Iterable[Path], check: CheckDefinition | None) -> list[ConfFile]:
    """The configurations at `paths`, each once. Raises ConfigurationFault where there is none."""
    files: dict[Path, ConfFile] = {}
    for path in paths:
        found = list(found_at(path, check))
        configurations = [one for one in found if isinstance(one, ConfFile)]
        if not configurations:
            texts = [one.text for one in found if isinstance(one, FileFinding)] or [
                "this is no configuration of a check"
            ]
            raise ConfigurationFault(f"{path}: {'; '.join(texts)}")
        files |= {one.path: one for one in configurations}
    return list(files.values())


def _estimates(file: ConfFile, workload: Workload) -> list[Estimate]:
    try:
        config = read_agent_config(file.path)
        return [
            _estimate(number, file, config.init_config, filled(given), workload)
            for number, given in enumerate(config.instances, 1)
        ]
    except ConfigFileError as error:
        raise ConfigurationFault(str(error)) from None
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationFault(f"{error}\nRun `metta-checks validate {file.path}` for all faults.") from None


def _estimate(
    number: int, file: ConfFile, shared: Mapping[str, Any], given: Mapping[str, Any], workload: Workload
) -> Estimate:
    definition = file.definition
    formula = definition.cost()
    check = _loaded(definition, shared, given)
    present = formula.cost(check.config, workload)
    others = []
    for other in formula.what_ifs:
        cost = formula.cost(_loaded(definition, shared, {**given, **other.options}).config, workload)
        if cost != present:
            others.append((other.label, cost))
    return Estimate(file, number, check.config.min_collection_interval, check.series_budget, present, tuple(others))


def _loaded(definition: CheckDefinition, shared: Mapping[str, Any], given: Mapping[str, Any]) -> MettaCheck:
    check = new_check(definition, shared, given)
    check.load_options()
    return check


def _table(one: Estimate, pricing: Pricing) -> Iterator[str]:
    total = pricing.billed(one.cost)
    yield from wrapped(
        f"{one.file.definition.name}, instance {one.instance}: about {_number(total)} billed series in an average hour"
    )
    yield from wrapped(f"for {one.cost.assumed}, collected every {one.interval} s", indent="  ")
    if one.budget is not None:
        yield f"  of a series_budget of {one.budget:,}{': it would warn' if total > one.budget else ''}"
    yield ""
    yield from _row("METRIC", "TAG SETS", "BILLED")
    for item in one.cost.items:
        if item.tag_sets:
            billed = _number(item.billed(percentiles=pricing.percentiles))
            name = f"{item.metric} (distribution)" if item.kind == "distribution" else item.metric
            yield from _row(name, _number(item.tag_sets), billed)
    yield ""
    yield from wrapped(f"requests: {_requests(one.cost.requests)}", indent="  ")
    if one.others:
        yield ""
        yield from _row("WHAT IF", "BILLED", "CHANGE")
    for label, cost in one.others:
        billed_then = pricing.billed(cost)
        yield from _row(label, _number(billed_then), _signed(billed_then - total))


def _requests(requests: Requests) -> str:
    """`about 6,066 an hour, of which about 143 count against the quota (2.9%), and 60 GraphQL points`."""
    text = f"about {_number(requests.hourly)} an hour"
    if requests.quota:
        share = f"{requests.of_quota / requests.quota:.1%}"
        counted = requests.counted
        text += f", {share} of the quota" if counted is None else ""
        text += "" if counted is None else f", of which about {_number(counted)} count against the quota ({share})"
    if requests.points is not None:
        text += f", and {_number(requests.points)} GraphQL points"
    return f"{text}; {_number(requests.hourly * HOURS_A_MONTH)} a month: {requests.says}"


def _row(name: str, *cells: str) -> Iterator[str]:
    yield from in_columns(name, [(cell, ">10") for cell in cells], width=52)


def _summary(estimates: list[Estimate], pricing: Pricing) -> Iterator[str]:
    """All instances together: an hour, the month, and what the figures assume."""
    billed = sum(pricing.billed(one.cost) for one in estimates)
    money = pricing.money(billed)
    cost = "" if money is None else f", {money:,.2f} at {pricing.price:,.2f} for 100"
    instances = f"{len(estimates)} instance{'' if len(estimates) == 1 else 's'}"
    yield from wrapped(f"{instances}, an average hour: about {_number(billed)} billed series")
    yield from wrapped(f"{instances}, a month: about {_number(billed)} custom metrics{cost}")
    yield from wrapped(MODEL + f": here {_names(estimates)} names and about {_points(estimates):,.0f} points a month.")


def _names(estimates: list[Estimate]) -> int:
    return len({item.metric for one in estimates for item in one.cost.items if item.tag_sets})


def _points(estimates: list[Estimate]) -> float:
    return sum(one.points_a_month for one in estimates)


def _as_json(one: Estimate, pricing: Pricing) -> dict[str, Any]:
    requests, billed = one.cost.requests, pricing.billed(one.cost)
    money = pricing.money(billed)
    return {
        "file": str(one.file.path),
        "check": one.file.definition.name,
        "instance": one.instance,
        "billed_per_hour": round(billed, 1),
        "billed_per_month": round(billed, 1),
        "cost_per_month": None if money is None else round(money, 2),
        "series_budget": one.budget,
        "metrics": [
            {
                "metric": item.metric,
                "type": item.kind,
                "tag_sets": round(item.tag_sets, 1),
                "billed": round(item.billed(percentiles=pricing.percentiles), 1),
            }
            for item in one.cost.items
        ],
        "metric_names": one.names,
        "points_per_month": round(one.points_a_month),
        "requests_per_hour": round(requests.hourly, 1),
        "requests_per_month": round(requests.hourly * HOURS_A_MONTH),
        "counted_per_hour": round(requests.of_quota, 1) if requests.quota else None,
        "graphql_points_per_hour": None if requests.points is None else round(requests.points, 1),
        "quota_per_hour": requests.quota,
        "assumed": one.cost.assumed,
        "what_if": {label: round(pricing.billed(cost), 1) for label, cost in one.others},
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-'}{_number(abs(value))}"

"""`metta-checks demo`: every check against loopback servers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final, NamedTuple

import click

from metta_checks.checks import CHECKS
from metta_checks.cli.arguments import output_file
from metta_checks.cli.board import demo_board, demo_collections
from metta_checks.cli.collect import exit_status
from metta_checks.cli.render import outcome_text
from metta_checks.cli.runner import CheckOutcome, Series
from metta_checks.cli.terminal import echo, echo_wrapped, show_table
from metta_checks.core.atomic_write import WriteError, is_standard_output, write_output


class DemoFigure(NamedTuple):
    """A figure of the screen: its text with the number, the metric, the tags that its series have, and how they become
    one number."""

    text: str
    metric: str
    tags: tuple[str, ...] = ()
    of: str = "sum"


SHOWN: Final = 5
"""Figures of a check."""

FIGURES: Final[Mapping[str, Sequence[DemoFigure]]] = {
    "wandb": (
        DemoFigure("running {:,.0f}", "wandb.runs", ("state:running",)),
        DemoFigure("failed in 7 days {:,.0f}", "wandb.runs", ("state:failed",)),
        DemoFigure("finished in 7 days {:,.0f}", "wandb.runs", ("state:finished",)),
        DemoFigure("longest run {:.1f} h", "wandb.run.duration_hours", of="max"),
        DemoFigure("fastest run {:,.0f} steps/s", "wandb.run.sps", of="max"),
    ),
    "ci": (
        DemoFigure("successful runs {:.1%}", "metta.infra.cron.ci.workflow.success_ratio", of="max"),
        DemoFigure("flaky runs {:.0f}", "metta.infra.cron.ci.workflow.flaky_tests"),
        DemoFigure("other failing workflows {:.0f}", "metta.infra.cron.ci.workflow.other_failing"),
        DemoFigure("p90 of a run {:.1f} min", "metta.infra.cron.ci.workflow.duration.p90", of="max"),
        DemoFigure("failing verdicts {:.0f}", "metta.infra.health.state", of="failing"),
    ),
}

OF_RECORDS: Final = (
    DemoFigure("verdicts {:.0f}", "metta.infra.health.state", of="count"),
    DemoFigure("pass {:.0f}", "metta.infra.health.state", of="passing"),
    DemoFigure("fail {:.0f}", "metta.infra.health.state", of="failing"),
    DemoFigure("unknown {:.0f}", "metta.infra.health.state", of="unknown"),
    DemoFigure("oldest record {:.1f} h", "metta.infra.health.age_seconds", of="hours"),
)
"""The figures of a check that reads health records."""


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show every series.")
@click.option(
    "--board",
    "board_path",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="Where to draw the dashboards. [default: a file of your own in the temporary folder]",
)
@click.pass_context
def demo(context: click.Context, verbose: bool, board_path: Path | None) -> None:
    """Run every check against sample data on this machine; no account, no network.

    Servers that implement the W&B and GitHub APIs are started on free loopback ports and stopped at the end. Each check
    collects every ten minutes of two hours, which take seconds. The dashboards are drawn from all collections; the
    figures are those of the last.

    \b
    Exit status:
      0  every check collected
      1  one did not

    \b
    Examples:
      metta-checks demo
      metta-checks demo --board board.html
      metta-checks demo --verbose | grep metta.infra.health.state
    """
    path = board_path or default_board()
    aside = is_standard_output(path)
    collections = demo_collections()
    last = {name: outcomes[-1] for name, outcomes in collections.items()}
    if verbose:
        for name, outcome in last.items():
            for line in outcome_text(name, outcome, every_series=True):
                echo(line, err=aside)
            echo(err=aside)
    everything = [outcome for outcomes in collections.values() for outcome in outcomes]
    for error in dict.fromkeys(outcome.error for outcome in everything if outcome.error):
        echo(error, err=True)
    if not verbose and not aside:
        _show(last)
    _draw(path, collections, aside=aside)
    context.exit(exit_status(everything))


def default_board() -> Path:
    """A file in the temporary folder that this user can write, whoever else has run the demo."""
    path = Path(gettempdir(), f"metta-checks-board-{os.getuid()}.html" if hasattr(os, "getuid") else "board.html")
    try:
        ours = not path.is_symlink() and (not path.exists() or path.stat().st_uid == os.getuid())
    except OSError:
        ours = False
    return path if ours else Path(mkdtemp(prefix="metta-checks-"), "board.html")


def figures_of(slug: str, series: Sequence[Series]) -> Iterator[str]:
    """At most `SHOWN` figures of a collection, each as words and a number; those that the data do not have are left
    out."""
    chosen = FIGURES.get(slug, OF_RECORDS if any(one.metric == OF_RECORDS[0].metric for one in series) else ())
    for figure in chosen or _first_metrics(series):
        values = [
            one.value for one in series if one.metric == figure.metric and all(text in one.tags for text in figure.tags)
        ]
        if values:
            yield figure.text.format(_one_number(values, figure.of))


def _first_metrics(series: Sequence[Series]) -> list[DemoFigure]:
    own = dict.fromkeys(one.metric for one in series if not one.metric.startswith("metta.check."))
    return [DemoFigure(f"{metric} {{:,.4g}}", metric) for metric in list(own)[:SHOWN]]


def _one_number(values: Sequence[float], of: str) -> float:
    match of:
        case "max":
            return max(values)
        case "count":
            return len(values)
        case "passing" | "unknown" | "failing":
            return values.count({"passing": 0, "unknown": 1, "failing": 2}[of])
        case "hours":
            return max(values) / 3600
        case _:
            return sum(values)


def _show(outcomes: Mapping[str, CheckOutcome]) -> None:
    """A table of the checks, and the figures of each."""
    rows = [
        (
            definition.name,
            "ok" if outcomes[definition.name].ok else "FAILED",
            f"{len(outcomes[definition.name].series):,}",
            f"{outcomes[definition.name].requests:,}",
            definition.description,
        )
        for definition in CHECKS
    ]
    show_table(("CHECK", "RESULT", "SERIES", "REQUESTS", "WATCHES"), rows, right=(2, 3))
    echo()
    for definition in CHECKS:
        figures = list(figures_of(definition.slug, outcomes[definition.name].series))
        echo_wrapped(f"{definition.name}: {'; '.join(figures)}")
    echo()
    echo_wrapped("Every series of each check: metta-checks demo --verbose")
    echo_wrapped("Your own project: metta-checks collect wandb --help, and the section of that name in README.md")


def _draw(path: Path, collections: Mapping[str, Sequence[CheckOutcome]], *, aside: bool) -> None:
    """The dashboards as a page; the demo goes on where it cannot be written."""
    try:
        write_output(path, demo_board(collections))
    except WriteError as error:
        echo(f"the dashboards could not be drawn: {error}", err=True)
        return
    echo_wrapped(f"The dashboards, to open in a browser: {path}", err=aside)

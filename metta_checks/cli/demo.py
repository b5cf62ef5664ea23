"""`metta-checks demo`: every check against servers on loopback."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

import click

from metta_checks.checks import CHECKS
from metta_checks.cli.board import demo_board
from metta_checks.cli.collect import exit_status
from metta_checks.cli.output import output_file, write_output
from metta_checks.cli.render import outcome_text
from metta_checks.cli.runner import Outcome, new_check, prepare_stubs, run_once
from metta_checks.cli.simulated import require_simulator
from metta_checks.cli.terminal import echo
from metta_checks.core.files import WriteError, is_standard_output


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show every series.")
@click.option(
    "--board",
    "board_path",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="Where to draw the dashboards. [default: metta-checks-board.html in the temporary folder]",
)
@click.pass_context
def demo(context: click.Context, verbose: bool, board_path: Path | None) -> None:
    """Run every check against sample data on this machine; no account, no network.

    Servers that implement the W&B and GitHub APIs are started on free loopback ports and stopped at the end.
    The dashboards are drawn from two hours of the same sample data, as `metta-checks board preview` draws them.

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
    require_simulator()
    from metta_checks.simulator.scene import scene

    path = board_path or Path(gettempdir(), "metta-checks-board.html")
    aside = is_standard_output(path)
    prepare_stubs()
    outcomes: dict[str, Outcome] = {}
    with scene() as stage:
        for definition in CHECKS:
            check = new_check(definition, {}, stage.instances[definition.slug])
            outcome = run_once(check, instance=1, collection=1)
            outcomes[definition.name] = outcome
            for line in outcome_text(definition.name, outcome, every_series=verbose):
                echo(line, err=aside)
            echo(err=aside)
            if outcome.error:
                echo(outcome.error, err=True)
    _draw(path, aside=aside)
    context.exit(exit_status(list(outcomes.values())))


def _draw(path: Path, *, aside: bool) -> None:
    """The dashboards as a page; a demo that cannot write it is none the worse."""
    try:
        write_output(path, demo_board())
    except WriteError as error:
        echo(f"the dashboards could not be drawn: {error}", err=True)
        return
    echo(f"the dashboards, to open in a browser: {path}", err=aside)

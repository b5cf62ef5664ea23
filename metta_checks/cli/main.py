"""The `metta-checks` command."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from metta_checks.__about__ import __version__
from metta_checks.cli.board import board
from metta_checks.cli.collect import collect
from metta_checks.cli.demo import demo
from metta_checks.cli.install import install, uninstall
from metta_checks.cli.listing import list_checks
from metta_checks.cli.publish import publish
from metta_checks.cli.schema import schema


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="metta-checks")
def main() -> None:
    """Datadog Agent checks for a team that trains models.

    Try `metta-checks demo` first: it needs no account.
    """
    for stream in (sys.stdout, sys.stderr):
        # Runs are called as people like, rockets included, and not every container's output is UTF-8.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for command in (demo, list_checks, install, uninstall, collect, publish, schema, board):
    main.add_command(command)

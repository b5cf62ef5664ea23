"""The `metta-checks` command."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from metta_checks.__about__ import __version__
from metta_checks.cli.board import board
from metta_checks.cli.collect import collect
from metta_checks.cli.demo import demo
from metta_checks.cli.estimate import estimate
from metta_checks.cli.group import Commands
from metta_checks.cli.install import install, uninstall
from metta_checks.cli.listing import list_checks
from metta_checks.cli.publish import publish
from metta_checks.cli.schema import schema
from metta_checks.cli.validate import validate
from metta_checks.cli.verify import verify


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="metta-checks")
@click.option("-v", "--verbose", is_flag=True, help="Show where this command itself fails, should it.")
def main(verbose: bool) -> None:  # noqa: ARG001 (the group looks for it among the arguments)
    """Datadog Agent checks for a team that trains models.

    Try `metta-checks demo` first: it needs no account. Then, in the order of their use: `install` puts the checks
    into the Agent's folder, `validate` finds what is wrong with a configuration, `collect` runs a check without an
    Agent, `estimate` says what it will cost. Each command explains itself with --help.

    \b
    Completion of commands and options, for the shell's start-up file:
      bash   eval "$(_METTA_CHECKS_COMPLETE=bash_source metta-checks)"
      zsh    eval "$(_METTA_CHECKS_COMPLETE=zsh_source metta-checks)"
      fish   _METTA_CHECKS_COMPLETE=fish_source metta-checks | source
    """
    for stream in (sys.stdout, sys.stderr):
        # Runs are called as people like, rockets included, and not every container's output is UTF-8.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for command in (demo, list_checks, install, uninstall, validate, estimate, collect, verify, publish, schema, board):
    main.add_command(command)

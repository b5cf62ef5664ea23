"""The `metta-checks` command."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from metta_checks.__about__ import __version__
from metta_checks.cli.group import Commands, LazyCommand
from metta_checks.cli.terminal import set_colour


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="metta-checks")
@click.option("-v", "--verbose", is_flag=True, help="Show where the command itself fails, if it does.")
@click.option(
    "--color",
    "colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Color in the output. By default on a terminal, unless NO_COLOR is set.",
)
def main(verbose: bool, colour: Any) -> None:  # noqa: ARG001 (the group looks for `verbose` among the arguments)
    """Datadog Agent checks for a team that trains models.

    Try `metta-checks demo` first: it needs no account. Then, in the order of their use: `install` puts the checks
    into the Agent's folder, `validate` finds what is wrong with a configuration, `collect` runs a check without an
    Agent, `estimate` shows what it will cost. Each command explains itself with --help.

    \b
    Exit status of every command:
      0    success
      1    a problem outside the configuration (a source, an Agent, a file), or a fault found
      2    the command line or the configuration is wrong
      130  interrupted with Ctrl-C

    \b
    Completion of commands and options, for the shell's start-up file:
      bash   eval "$(_METTA_CHECKS_COMPLETE=bash_source metta-checks)"
      zsh    eval "$(_METTA_CHECKS_COMPLETE=zsh_source metta-checks)"
      fish   _METTA_CHECKS_COMPLETE=fish_source metta-checks | source
    """
    set_colour(colour)
    for stream in (sys.stdout, sys.stderr):
        # Names of runs have any characters, and not every container's output is UTF-8.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for name, place, summary in (
    ("demo", "demo:demo", "Run every check against sample data on this machine."),
    ("list", "list:list_checks", "Show the checks and where they are installed."),
    ("install", "install:install", "Put the checks where the Agent looks for them."),
    ("uninstall", "install:uninstall", "Remove what `install` wrote."),
    ("validate", "validate:validate", "Check configurations and files of health records."),
    ("estimate", "estimate:estimate", "Estimate a configuration's custom metrics and requests."),
    ("collect", "collect:collect", "Run a check now and show what the Agent would receive."),
    ("verify", "verify:verify", "Compare a check's figures with an independent count."),
    ("publish", "publish:publish", "Validate health records and write them for the check."),
    ("schema", "publish:schema", "Print the JSON Schema of a health record."),
    ("board", "board:board", "Check, draw and export dashboards and monitors."),
):
    main.add_command(LazyCommand(name, f"metta_checks.cli.{place}", summary))

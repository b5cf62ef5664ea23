"""The `metta-checks` command."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from metta_checks.__about__ import __version__
from metta_checks.cli.group import Commands, LazyCommand


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


for name, place, summary in (
    ("demo", "demo:demo", "Run every check against sample data on this machine."),
    ("list", "listing:list_checks", "Show the checks and where they are installed."),
    ("install", "install:install", "Put the checks where the Agent looks for them."),
    ("uninstall", "install:uninstall", "Remove what `install` wrote."),
    ("validate", "validate:validate", "Check configurations and files of health records."),
    ("estimate", "estimate:estimate", "Estimate a configuration's custom metrics and requests."),
    ("collect", "collect:collect", "Run a check now and show what the Agent would receive."),
    ("verify", "verify:verify", "Compare a check's figures with an independent count."),
    ("publish", "publish:publish", "Validate health records and write them for the check."),
    ("schema", "schema:schema", "Print the JSON Schema of a health record."),
    ("board", "board:board", "Check, draw and export dashboards and monitors."),
):
    main.add_command(LazyCommand(name, f"metta_checks.cli.{place}", summary))

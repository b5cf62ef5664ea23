"""The command's frame: commands in the order of their use, optional libraries, and errors in one line."""

from __future__ import annotations

import os
import re
import shlex
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from metta_checks.cli.terminal import printable_faults

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""

_ARGUMENTS: Final = "metta_checks.arguments"
_REQUIREMENT: Final = re.compile(r"(?P<needs>[^;]+?)\s*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")


class ConfigurationFault(click.ClickException):
    """A file or the environment is wrong, and not the command line: the error stands alone, without a usage text."""

    exit_code = 2


class LazyCommand(click.Command):
    """A command that is imported when it runs or completes its own arguments; its name and summary are known before.

    `place` is `module:attribute`. Some commands need the Agent's base class, which takes a second to import.
    """

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self.place = place

    def load(self) -> click.Command:
        module, _, attribute = self.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Click goes on with the context's command, which is the loaded one."""
        return self.load().make_context(*arguments, **options)


class Commands(click.Group):
    """A group that lists its commands as they were added, and reports an unforeseen error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click passes it)
        return list(self.commands)

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Refuses to run without standard output, where the next file that is opened would take its place."""
        if sys.stderr is None:
            sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (as long as the process)
        if sys.stdout is None:
            sys.exit("Error: standard output is closed: send it to a file, to a pipe, or to /dev/null")
        return super().main(*arguments, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        try:
            with printable_faults():
                return super().parse_args(ctx, args)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(_system_fault(error)) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with printable_faults():
                try:
                    return super().invoke(ctx)
                finally:
                    # A full disk under standard output is known only now.
                    sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OSError as error:
            self._show_place(ctx, error)
            raise click.ClickException(_system_fault(error)) from None
        except Exception as error:
            self._show_place(ctx, error)
            again = "metta-checks --verbose with the same arguments shows where"
            raise click.ClickException(f"a fault of this command, {type(error).__name__}: {again}") from None

    def _show_place(self, ctx: click.Context, error: Exception) -> None:
        if {"-v", "--verbose"} & set(ctx.meta[_ARGUMENTS]):
            # Where, and of what type; not the text, which may hold anything.
            click.echo("".join(traceback.format_tb(error.__traceback__)), nl=False, err=True)


def _system_fault(error: OSError) -> str:
    """What the operating system refused, and where: a file, or standard output where it names none."""
    detail = (error.strerror or type(error).__name__).lower()
    if error.filename is not None:
        return f"{error.filename}: {detail}. Check the path, its mode, and the space on its file system"
    _discard_output()
    return f"standard output: {detail}. Free space on the disk that it goes to, or send it elsewhere"


def _discard_output() -> None:
    """Have Python throw away what it could not write, instead of reporting it a second time at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def install_command(extra: str) -> str:
    """How to install what the extra `extra` of this package brings.

    The package itself comes from a wheel or a clone and is in no index, so that its libraries are named instead.
    """
    # It takes a tenth of a second to import, and few commands need it.
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("metta-checks") or []
    except PackageNotFoundError:
        declared = []
    found = [
        match["needs"].strip()
        for line in declared
        if (match := _REQUIREMENT.fullmatch(line)) and match["extra"] == extra
    ]
    names = " ".join(shlex.quote(name.replace(" ", "")) for name in found) or f"'metta-checks[{extra}]'"
    return f"{sys.executable} -m pip install {names}"


def require_extra(module: str, extra: str, what: str) -> None:
    """Raises ClickException, with the command to install it, where `module` is missing; `what` needs it."""
    if find_spec(module) is None:
        raise click.ClickException(f"{what} is not installed: {install_command(extra)}")


def require_simulator() -> None:
    """Raises ClickException where the simulator's GraphQL library is missing."""
    require_extra("graphql", "demo", "graphql-core, which the simulated servers need,")

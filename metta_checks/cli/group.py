"""The command's frame: commands in the order of their use, and no traceback in front of an operator."""

from __future__ import annotations

import traceback
from importlib import import_module
from typing import Any, Final

import click

from metta_checks.cli.terminal import printable_faults

_ARGUMENTS: Final = "metta_checks.arguments"


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        with printable_faults():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with printable_faults():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if {"-v", "--verbose"} & set(ctx.meta[_ARGUMENTS]):
                # Where, and of what type; not the text, which may hold anything.
                click.echo("".join(traceback.format_tb(error.__traceback__)), nl=False, err=True)
            again = "metta-checks --verbose with the same arguments shows where"
            raise click.ClickException(f"a fault of this command, {type(error).__name__}: {again}") from None

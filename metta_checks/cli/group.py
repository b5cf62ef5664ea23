"""The command's frame: commands in the order of their use, and no traceback in front of an operator."""

from __future__ import annotations

import traceback
from typing import Any, Final

import click

from metta_checks.cli.terminal import printable_faults

_ARGUMENTS: Final = "metta_checks.arguments"


class Commands(click.Group):
    """A group that lists its commands as they were added, and ends what was not foreseen in one line."""

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

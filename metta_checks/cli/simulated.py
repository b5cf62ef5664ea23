"""The simulator from the command: an extra, imported when it is used."""

from __future__ import annotations

from importlib.util import find_spec

import click


def require_simulator() -> None:
    """Raises ClickException, with what to install, where the simulator's GraphQL library is missing."""
    if find_spec("graphql") is None:
        text = "the simulated servers need graphql-core, which the extra `demo` brings: pip install 'graphql-core>=3.2'"
        raise click.ClickException(text)

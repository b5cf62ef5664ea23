"""`python -m metta_checks.simulator`: the simulated servers, for checks that run in another process or container."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import click
import yaml

from metta_checks.core.atomic_write import WriteError, make_folder, write_file
from metta_checks.simulator.sandbox import sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 lets other machines in.")
@click.option("--wandb-port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0: a free one.")
@click.option("--github-port", type=click.IntRange(0, 65535), default=8082, show_default=True, help="0: a free one.")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a configuration for each check there, in the Agent's layout, instead of printing them.",
)
def serve(host: str, wandb_port: int, github_port: int, folder: Path | None) -> None:
    """Serve sample data through the W&B and GitHub APIs, until interrupted.

    Printed first is YAML: for each check an instance that reads this data from this machine. With --write each becomes
    DIR/conf.d/metta_<check>.d/conf.yaml, which `metta-checks validate` and `collect --config` accept.
    """
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with sandbox(host=host, wandb_port=wandb_port, github_port=github_port) as demo:
            instances = {f"metta_{slug}": dict(instance) for slug, instance in demo.instances.items()}
            if folder is None:
                click.echo(yaml.safe_dump(instances, sort_keys=False), nl=False)
            else:
                for name, instance in instances.items():
                    click.echo(_written(folder, name, instance))
            click.echo("---")
            stopped.wait()
    except WriteError as error:
        raise click.ClickException(f"writing {error}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or f'cannot listen on {host}'}: {error.strerror}") from None


def _written(folder: Path, name: str, instance: Mapping[str, Any]) -> Path:
    """A configuration with what the Agent itself reads from the file."""
    path = folder / "conf.d" / f"{name}.d" / "conf.yaml"
    make_folder(path.parent)
    whole = {"min_collection_interval": 60, "empty_default_hostname": True, **instance}
    write_file(path, yaml.safe_dump({"init_config": {}, "instances": [whole]}, sort_keys=False))
    return path


if __name__ == "__main__":
    serve(prog_name="python -m metta_checks.simulator")

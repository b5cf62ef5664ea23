"""`python -m metta_checks.simulator`: the demo's servers, for checks that run in another process or container."""

from __future__ import annotations

import signal
from threading import Event

import click
import yaml

from metta_checks.simulator.scene import scene


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 lets other machines in.")
@click.option("--wandb-port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0: a free one.")
@click.option("--github-port", type=click.IntRange(0, 65535), default=8082, show_default=True, help="0: a free one.")
def serve(host: str, wandb_port: int, github_port: int) -> None:
    """Serve sample data as W&B and GitHub do, until interrupted.

    What is printed first is YAML: for each check an instance that reads this data from this machine.
    """
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with scene(host=host, wandb_port=wandb_port, github_port=github_port) as stage:
            instances = {f"metta_{slug}": dict(instance) for slug, instance in stage.instances.items()}
            click.echo(yaml.safe_dump(instances, sort_keys=False), nl=False)
            click.echo("---")
            stopped.wait()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}: {error.strerror}") from None


if __name__ == "__main__":
    serve(prog_name="python -m metta_checks.simulator")

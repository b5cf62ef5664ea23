"""No secret stands in anything that any command writes, whatever it is asked and whatever goes wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from metta_checks.cli import main
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_server import WandbServer

Command = Callable[..., Result]

KEY = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "ghp_zyxwvutsrqponmlkjihgfedcba9876543210"
PASSWORD = "correct-horse-battery"

SECRETS = (KEY, TOKEN, PASSWORD)

WAYS = [
    ["list"],
    ["list", "--agent-dir", "{agent}"],
    ["list", "--agent-dir", "{agent}", "--format", "json"],
    ["validate", "{agent}"],
    ["validate", "{agent}", "--format", "json", "--strict", "--daemonset"],
    ["estimate", "--config", "{wandb}"],
    ["estimate", "--config", "{ci}", "--format", "json"],
    ["estimate", "--config", "{broken}"],
    ["install", "--agent-dir", "{agent}"],
    ["uninstall", "--agent-dir", "{agent}"],
    ["collect", "wandb", "--config", "{wandb}", "--verbose"],
    ["collect", "wandb", "--config", "{wandb}", "--format", "json", "--verbose"],
    ["collect", "wandb", "--config", "{broken}", "--verbose"],
    ["collect", "wandb", "--config", "{wandb}", "--push", "--verbose"],
    ["collect", "wandb", "--verbose"],
    ["collect", "ci", "--config", "{ci}", "--verbose"],
    ["collect", "training", "--config", "{training}", "--verbose"],
    ["--verbose", "collect", "{key}"],
    ["collect", "wandb", "--config", "{agent}/{key}"],
]
"""Each command, with what it can be asked; where a secret stands on the command line itself it may be repeated."""


def traces_of(text: str) -> list[str]:
    """What of the secrets, or of a header made of one, stands in a text: whole, or a good part of it."""
    headers = [base64.b64encode(f"api:{secret}".encode()).decode() for secret in SECRETS]
    return [form for secret in (*SECRETS, *headers) for form in (secret, secret[:14], secret[-14:]) if form in text]


def told_back(request: Request) -> Reply:
    """A server that tells everybody what it was sent."""
    sent = request.headers.get("authorization", "")
    plain = base64.b64decode(sent.removeprefix("Basic ")).decode() if sent.startswith("Basic ") else sent
    return Reply(400, json.dumps({"message": f"bad credential {plain}", "errors": [{"message": sent}]}).encode())


@pytest.fixture(params=["in the files", "in the environment"])
def places(
    request: pytest.FixtureRequest, server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """An Agent's folder with a configuration of each check, the secrets in the files or in the environment."""
    in_files = request.param == "in the files"
    if not in_files:
        for name, value in (("WANDB_API_KEY", KEY), ("GITHUB_DASHBOARD_TOKEN", TOKEN)):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WANDB_ENTITY", "team")
        monkeypatch.setenv("WANDB_PROJECT", "arena")
        for name in ("WANDB_BASE_URL", "GITHUB_API_URL"):
            monkeypatch.setenv(name, server.url)
    server.intercept = told_back
    proxy = {"proxy": {"https": f"http://me:{PASSWORD}@127.0.0.1:9"}, "tags": ["env:prod"]}
    key, token = ({"api_key": KEY}, {"token": TOKEN}) if in_files else ({}, {})
    instances = {
        "wandb": {"entity": "team", "project": "arena", "base_url": server.url, **key, **proxy},
        "ci": {"repo": "team/code", "api_url": server.url, **token, **proxy},
        "training": {"source": f"{server.url}/records.json", "username": "me", "password": PASSWORD},
        "broken": {"entity": "team", "timeframe": "7 days", "api_key": [KEY], "tokenn": TOKEN, "run_types": KEY},
    }
    found = {"agent": tmp_path / "agent", "key": KEY}
    for name, instance in instances.items():
        folder = found["agent"] / "conf.d" / ("metta_wandb.d" if name == "broken" else f"metta_{name}.d")
        folder.mkdir(parents=True, exist_ok=True)
        found[name] = folder / f"{name}.yaml"
        found[name].write_text(yaml.safe_dump({"instances": [instance]}))
    # A key between quotes that are never closed: the parser would quote the line.
    (found["agent"] / "conf.d/metta_wandb.d/torn.yaml").write_text(f'instances:\n  - api_key: "{KEY}\n    x: [')
    return found


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_no_command_shows_a_secret(command: Command, places: dict[str, Any], way: list[str]) -> None:
    arguments = [text.format(**places) for text in way]
    result = command(*arguments)
    output = result.stdout + result.stderr
    for argument in arguments:
        # What the operator typed stands in a refusal of it.
        output = output.replace(argument, "").replace(argument.rpartition("/")[2], "")
    assert output or way[0] == "uninstall"
    assert traces_of(output) == []


@pytest.mark.parametrize("verbose", [(), ("--verbose",)], ids=["plain", "verbose"])
@pytest.mark.parametrize(
    ("patched", "arguments"),
    [
        ("metta_checks.cli.list.inventory_of", ["list"]),
        ("metta_checks.cli.validate.check_file", ["validate", "{wandb}"]),
        ("metta_checks.cli.estimate.new_check", ["estimate", "--config", "{wandb}"]),
        ("metta_checks.cli.install.Installation", ["install", "--agent-dir", "{agent}"]),
        ("metta_checks.cli.collect.collections", ["collect", "wandb", "--config", "{wandb}"]),
        ("metta_checks.simulator.timelapse.timelapse", ["demo"]),
    ],
)
def test_a_fault_of_the_command_itself_shows_none(
    command: Command,
    places: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    patched: str,
    arguments: list[str],
    verbose: tuple[str, ...],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"sent {KEY} and {TOKEN}")

    monkeypatch.setattr(patched, fail)
    result = command(*verbose, *(text.format(**places) for text in arguments))
    output = result.stdout + result.stderr
    assert result.exit_code == 1
    assert "a fault of this command, RuntimeError" in output
    assert ("in fail" in output) == bool(verbose)
    assert traces_of(output) == []


def test_every_command_is_tried() -> None:
    """A new command has to be held against the secrets too; these see none."""
    without = {"board", "demo", "publish", "schema", "verify"}
    assert set(main.commands) - without == {next(word for word in way if not word.startswith("-")) for way in WAYS}

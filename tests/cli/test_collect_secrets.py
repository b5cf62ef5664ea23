"""No secret in anything that `metta-checks collect` writes, whatever goes wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result
from moto import mock_aws
from simulator_support.faults import Fault

from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_server import WandbServer

KEY = "0123456789abcdef0123456789abcdef01234567"

Command = Callable[..., Result]
Conf = Callable[..., Path]
Instance = dict[str, Any]


def traces_of(text: str) -> list[str]:
    """What of the key, or of the header made of it, stands in a text."""
    header = base64.b64encode(f"api:{KEY}".encode()).decode()
    return [form for form in (KEY, KEY[:12], KEY[-12:], header, header[-12:]) if form in text]


def echo(request: Request) -> Reply:
    """A server that tells everybody what it was sent."""
    sent = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    return Reply(400, json.dumps({"errors": [{"message": f"bad credential {sent}"}]}).encode())


def echo_as_graphql(request: Request) -> Reply:
    return Reply(200, echo(request).body)


def echo_as_field(request: Request) -> Reply:
    sent = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    return Reply(200, json.dumps({"data": {"viewer": {"id": 7}, "project": {"runs": {sent: sent}}}}).encode())


ANSWERS: dict[str, Callable[[Request], Reply | None]] = {
    "accepted": lambda _: None,
    "refused": lambda _: Reply(401, b'{"error": "user is not logged in"}'),
    "echoed": echo,
    "echoed with 200": echo_as_graphql,
    "echoed in a field": echo_as_field,
    "redirected": lambda _: Reply(302, b"", {"Location": f"http://127.0.0.1:9/?key={KEY}"}),
}


@pytest.fixture(params=ANSWERS)
def server_of_the_key(request: pytest.FixtureRequest, server: WandbServer) -> WandbServer:
    server.api_key = KEY
    server.intercept = ANSWERS[request.param]
    return server


def assert_kept(command: Command, tmp_path: Path, *arguments: object) -> None:
    """Runs `collect` in every form and looks through all that it wrote."""
    output = tmp_path / "out.txt"
    for form in ("table", "json"):
        results = [command("collect", "wandb", *arguments, "--format", form, "--verbose")]
        results.append(command("collect", "wandb", *arguments, "--format", form, "--output", output))
        assert {result.exit_code for result in results} <= {0, 1}
        written = "\n".join([result.output + result.stderr for result in results] + [output.read_text("utf-8")])
        assert traces_of(written) == []


def test_a_key_in_the_file(
    command: Command, conf: Conf, instance: Instance, server_of_the_key: WandbServer, tmp_path: Path
) -> None:
    assert_kept(command, tmp_path, "--config", conf({**instance, "api_key": KEY}))


def test_a_connection_that_breaks(
    command: Command, conf: Conf, instance: Instance, server: WandbServer, tmp_path: Path
) -> None:
    server.intercept = lambda _: Fault("reset_headers")
    assert_kept(command, tmp_path, "--config", conf({**instance, "api_key": KEY, "collection_timeout": 0.3}))


def test_a_key_in_the_environment(
    command: Command,
    instance: Instance,
    server_of_the_key: WandbServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for option in ("entity", "project", "base_url"):
        monkeypatch.setenv(f"WANDB_{option.upper()}", instance[option])
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert_kept(command, tmp_path)


def test_a_wrong_key(command: Command, conf: Conf, instance: Instance, server: WandbServer, tmp_path: Path) -> None:
    for server.invalid_key in ("401", "null"):
        assert_kept(command, tmp_path, "--config", conf({**instance, "api_key": KEY}))


def test_a_key_from_aws(
    command: Command,
    conf: Conf,
    instance: Instance,
    server: WandbServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    server.api_key = KEY
    with mock_aws():
        boto3.client("secretsmanager", region_name="eu-west-1").create_secret(Name="wandb/api-key", SecretString=KEY)
        path = conf({**instance, "api_key": None, "aws_region": "eu-west-1"})
        assert command("collect", "wandb", "--config", path).exit_code == 0
        assert_kept(command, tmp_path, "--config", path)


@pytest.mark.parametrize(
    "text",
    [
        f"instances:\n- api_key: {KEY}\n  project: b: c",
        f"instances:\n- api_key: *{KEY}",
        f"instances:\n- api_key: !{KEY} x",
        f'instances:\n- api_key: "{KEY}\n',
        f"instances:\n- api_key: {KEY}\n api_key: x",
        f"instances: {KEY}",
        f"- {KEY}",
        KEY,
        f"instances:\n- {KEY}",
        f"instances:\n- entity: e\n  project: p\n  api_key: [{KEY}]",
        f"instances:\n- entity: e\n  project: p\n  api_key: {{{KEY}: x}}",
        f"instances:\n- entity: e\n  project: p\n  api_key: {KEY}\n  metric_patterns: x",
        f"instances:\n- entity: e\n  project: p\n  api_key: {KEY}\n  timeframe: x",
        f"instances:\n- entity: e\n  project: p\n  api_key: x\n  base_url: https://api:{KEY}@host",
        f"instances:\n- entity: e\n  project: p\n  api_key: x\n  base_url: https://host:{KEY}",
        f"instances:\n- entity: e\n  project: p\n  api_key: x\n  base_url: https://host/?key={KEY}",
    ],
)
def test_a_key_in_a_broken_file(command: Command, tmp_path: Path, text: str) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text(text, encoding="utf-8")
    result = command("collect", "wandb", "--config", path, "--verbose")
    assert result.exit_code == 2
    assert traces_of(result.output + result.stderr) == []

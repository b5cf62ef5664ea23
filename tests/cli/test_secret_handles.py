"""`ENC[…]` in a configuration that the command runs: the environment's value in its place, or what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from metta_checks.simulator.wandb_server import DEMO_API_KEY

Command = Callable[..., Result]
Conf = Callable[..., Path]

CI = {"repo": "team/code", "api_url": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "GITHUB_DASHBOARD_TOKEN", "GITHUB_TOKEN", "GITHUB_APP_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_environment_has_the_key(
    command: Command, conf: Conf, instance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", DEMO_API_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", instance["base_url"])
    result = command("collect", "wandb", "--config", conf({**instance, "api_key": "ENC[wandb;key]"}), "-q")
    assert result.exit_code == 0
    note = "`api_key` holds ENC[…], which only the Agent resolves: this command uses WANDB_API_KEY"
    assert words(result.stderr) == f"metta_wandb, instance 1: {note}"


def test_an_option_that_is_no_credential(
    command: Command, conf: Conf, instance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "metta")
    result = command("collect", "wandb", "--config", conf({**instance, "project": "ENC[p]"}), "-q")
    assert (result.exit_code, "this command uses WANDB_PROJECT" in words(result.stderr)) == (0, True)


@pytest.mark.parametrize(
    ("check", "given", "error"),
    [
        (
            "wandb",
            {"entity": "a", "project": "b", "api_key": "ENC[x]"},
            "`api_key` holds ENC[…], which only the Agent resolves: run `datadog-agent check metta_wandb` as the "
            "Agent's user, or set WANDB_API_KEY for this command",
        ),
        ("ci", {**CI, "token": " ENC[x] "}, "or set GITHUB_DASHBOARD_TOKEN or GITHUB_TOKEN for this command"),
        (
            "ci",
            {**CI, "app_id": "1", "app_installation_id": "2", "app_private_key": "ENC[x]"},
            "`app_private_key` holds ENC[…], which only the Agent resolves: run `datadog-agent check metta_ci` as the "
            "Agent's user, or set GITHUB_APP_PRIVATE_KEY for this command",
        ),
        (
            "training",
            {"source": "https://example.com/x.json", "headers": {"Authorization": "ENC[x]"}},
            "`headers` holds ENC[…], which only the Agent resolves: run `datadog-agent check metta_training` as",
        ),
    ],
)
def test_the_environment_has_none(command: Command, conf: Conf, check: str, given: dict[str, Any], error: str) -> None:
    result = command("collect", check, "--config", conf(given))
    assert result.exit_code == 2
    assert error in words(result.stderr)
    assert "secret backend" not in result.stderr


def test_it_is_named_beside_other_faults(command: Command, conf: Conf) -> None:
    result = command("collect", "wandb", "--config", conf({"entity": "a", "api_key": "ENC[x]"}))
    assert result.exit_code == 2
    assert "`api_key`: holds ENC[…]" in words(result.stderr)
    assert "`project`: is not set" in words(result.stderr)


def test_verify(command: Command, conf: Conf) -> None:
    result = command("verify", "ci", "--config", conf({**CI, "token": "ENC[x]"}))
    assert result.exit_code == 2
    assert "GITHUB_TOKEN for this command" in words(result.stderr)


def test_estimate_needs_no_credential(command: Command, conf: Conf) -> None:
    result = command("estimate", "--check", "ci", "--config", conf({**CI, "token": "ENC[x]"}))
    assert (result.exit_code, result.stderr) == (0, "")

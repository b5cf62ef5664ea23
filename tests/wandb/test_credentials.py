"""Where the W&B key comes from, and what happens when it changes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from metta_checks.core import CredentialError
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]

NEW_KEY = "5e" * 20


def up(figures: Figures) -> float:
    (value,) = figures["metta.check.up"].values()
    return value


def test_the_option_wins_over_the_environment(figures: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "wrong")
    assert up(figures()) == 1.0


@pytest.mark.usefixtures("ours")
def test_the_environment_serves_where_there_is_no_option(figures: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", f"{DEMO_API_KEY}\n")
    assert up(figures(api_key=None)) == 1.0


@pytest.mark.parametrize("text", [DEMO_API_KEY, json.dumps({"key": DEMO_API_KEY})])
def test_aws_serves_where_there_is_neither(secrets: Callable[[str, str], None], figures: Collect, text: str) -> None:
    secrets("team/key", text)
    assert up(figures(api_key=None, api_key_secret="team/key", aws_region="eu-west-1")) == 1.0


@pytest.mark.usefixtures("ours")
def test_a_rotated_key_needs_no_restart(
    secrets: Callable[[str, str], None], figures: Collect, new_check: Callable[..., WandbCheck], server: WandbServer
) -> None:
    secrets("wandb/api-key", DEMO_API_KEY)
    check = new_check(api_key=None, aws_region="eu-west-1")
    assert up(figures(check)) == 1.0
    server.api_key = NEW_KEY
    secrets("wandb/api-key", NEW_KEY)
    collected = figures(check)
    assert up(collected) == 1.0
    assert list(collected["metta.check.requests"].values()) == [2.0]  # refused once, then with the new key


def test_without_a_key_the_error_names_the_three_places(new_check: Callable[..., WandbCheck]) -> None:
    check = new_check(api_key=None, api_key_secret="team/key", aws_region="eu-west-1")
    (report,) = json.loads(check.run())
    assert isinstance(check.collection.error, CredentialError)
    for place in ("`api_key`", "WANDB_API_KEY", "team/key"):
        assert place in report["message"]

"""What a check answers to `agent diagnose` and shows in `agent status`, through the base class's own methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from datadog_checks.base import AgentCheck
from datadog_checks.base.stubs import datadog_agent

from metta_checks.simulator.server import Reply
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

NOW = datetime.now(UTC).replace(microsecond=0)

SUCCESS, FAIL, WARNING = 0, 1, 2

Diagnoses = dict[str, tuple[int, str, str | None]]


@pytest.fixture
def project() -> DemoProject:
    project = DemoProject("team", "arena")
    project.start("r1", NOW - timedelta(hours=1), heartbeat_at=NOW, summary={"overview/reward": 1.5})
    return project


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


@pytest.fixture
def make(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WandbCheck]:
    """Makes the check for the server's project, which the environment names; options that are None are left out."""
    monkeypatch.setenv("WANDB_BASE_URL", server.url)

    def make(**options: Any) -> WandbCheck:
        given = {"entity": "team", "project": "arena", "base_url": server.url, "api_key": DEMO_API_KEY, **options}
        instance = {option: value for option, value in given.items() if value is not None}
        return WandbCheck("metta_wandb", {}, [{"min_collection_interval": 120, **instance}])

    return make


def diagnoses(check: AgentCheck) -> Diagnoses:
    """Result, text and remedy by name."""
    told = json.loads(check.get_diagnoses())
    assert all(one["category"] == check.name for one in told)
    return {one["name"]: (one["result"], one["diagnosis"], one["remediation"]) for one in told}


def test_after_a_good_collection_everything_is_well(make: Callable[..., WandbCheck]) -> None:
    check = make()
    assert check.run() == ""
    told = diagnoses(check)
    assert {name: result for name, (result, _, _) in told.items()} == dict.fromkeys(
        [
            "configuration",
            "credential",
            "source",
            "permissions",
            "quota",
            "last good collection",
            "state",
            "series this hour",
            "dropped",
        ],
        SUCCESS,
    )
    assert told["credential"][1] == "project team/arena: the W&B API key comes from the option `api_key`"
    assert "1 request" in told["source"][1]
    assert "requests are left, the last collection took 1" in told["quota"][1]
    assert told["state"][1] == "project team/arena: there was none, it started fresh"


def test_before_the_first_collection_nothing_is_asked(make: Callable[..., WandbCheck], server: WandbServer) -> None:
    told = diagnoses(make())
    assert server.requests == []
    assert {name: result for name, (result, _, _) in told.items()} == {
        "configuration": SUCCESS,
        "credential": SUCCESS,
        "source": WARNING,
        "last good collection": WARNING,
    }


def test_options_that_do_not_hold(make: Callable[..., WandbCheck]) -> None:
    result, text, remedy = diagnoses(make(timeframe="a week"))["configuration"]
    assert result == FAIL
    assert "`timeframe`" in text
    assert remedy is not None
    assert "metta-checks validate" in remedy


@pytest.mark.parametrize(
    ("status", "failed", "word"),
    [
        (401, "permissions", "unauthorized"),
        (403, "permissions", "forbidden"),
        (404, "permissions", "not found"),
        (429, "quota", "rate limited"),
        (500, "source", "server error"),
    ],
)
def test_what_a_refusal_is_counted_as(
    make: Callable[..., WandbCheck], server: WandbServer, status: int, failed: str, word: str
) -> None:
    server.intercept = lambda _: Reply(status, b"{}")
    check = make()
    check.run()
    told = diagnoses(check)
    assert {name for name, (result, _, _) in told.items() if result == FAIL} == {failed, "last good collection"}
    assert word in told[failed][1]
    assert told[failed][2]
    assert told["source"][0] == (FAIL if failed == "source" else SUCCESS)


def test_a_source_that_is_not_there(make: Callable[..., WandbCheck]) -> None:
    check = make(base_url="http://127.0.0.1:9")
    check.run()
    result, text, remedy = diagnoses(check)["source"]
    assert result == FAIL
    assert "refused the connection (unreachable)" in text
    assert remedy == "Nothing listens there: check the address and port, and that the service runs."


@pytest.mark.parametrize(
    ("options", "environment", "origin"),
    [
        ({}, {}, "the option `api_key`"),
        ({"api_key": None}, {"WANDB_API_KEY": DEMO_API_KEY}, "the environment variable WANDB_API_KEY"),
    ],
)
def test_where_the_credential_comes_from(
    make: Callable[..., WandbCheck],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    origin: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result, text, _ = diagnoses(make(**options))["credential"]
    assert (result, text) == (SUCCESS, f"project team/arena: the W&B API key comes from {origin}")


def test_no_credential_is_a_warning_until_a_collection_has_failed_for_it(make: Callable[..., WandbCheck]) -> None:
    check = make(api_key=None, aws_region="eu-west-1")
    result, text, remedy = diagnoses(check)["credential"]
    assert result == WARNING
    assert text == "project team/arena: there is no W&B API key in the option `api_key` nor in WANDB_API_KEY"
    assert remedy == "A collection looks for the AWS secret wandb/api-key, where it is allowed to read it."
    check.run()
    told = diagnoses(check)
    assert told["credential"][0] == FAIL
    assert told["source"][0] == WARNING


def test_an_unresolved_handle_is_a_failure(make: Callable[..., WandbCheck]) -> None:
    result, text, _ = diagnoses(make(api_key="ENC[wandb/api-key;key]"))["credential"]
    assert result == FAIL
    assert "ENC[wandb/api-key]" in text


def test_figures_grow_late(make: Callable[..., WandbCheck], server: WandbServer) -> None:
    check = make()
    check.run()
    server.intercept = lambda _: Reply(500, b"{}")
    for minutes, expected in ((5, SUCCESS), (7, FAIL)):
        check.clock = lambda minutes=minutes: datetime.now(UTC) + timedelta(minutes=minutes)
        check.run()
        assert diagnoses(check)["last good collection"][0] == expected, minutes


def test_a_quota_that_runs_out(make: Callable[..., WandbCheck], server: WandbServer) -> None:
    check = make()
    check.run()
    check.collection.quota_remaining = 9.0
    result, text, remedy = diagnoses(check)["quota"]
    assert (result, text) == (WARNING, "project team/arena: 9 requests are left, the last collection took 1")
    assert remedy is not None
    assert "min_collection_interval" in remedy


@pytest.mark.parametrize(
    ("left", "result", "text"),
    [
        ("", SUCCESS, "there was none, it started fresh"),
        ("torn", WARNING, "the saved state could not be used"),
        ('{"version":1,"state":{"alive":5}}', WARNING, "the saved state could not be used"),
        (None, SUCCESS, "restored from the Agent's persistent cache"),
    ],
)
def test_what_became_of_the_state(
    make: Callable[..., WandbCheck], monkeypatch: pytest.MonkeyPatch, left: str | None, result: int, text: str
) -> None:
    make().run()
    if left is not None:
        monkeypatch.setattr(datadog_agent, "read_persistent_cache", lambda _: left)
    check = make()
    check.run()
    assert diagnoses(check)["state"][:2] == (result, f"project team/arena: {text}")


def test_what_was_left_out_and_why(make: Callable[..., WandbCheck], project: DemoProject) -> None:
    for number in range(3):
        project.start(f"more-{number}", NOW - timedelta(hours=1), heartbeat_at=NOW)
    check = make(max_runs=1)
    check.run()
    result, text, remedy = diagnoses(check)["dropped"]
    assert (result, text) == (WARNING, "project team/arena: 3 left out (over_limit): run more-1; run more-2; run r1")
    assert remedy == "More than a limit of the configuration allows: raise the limit, or watch less."


@pytest.mark.parametrize(("budget", "result"), [(1000, SUCCESS), (5, WARNING), (None, SUCCESS)])
def test_the_hour_against_its_budget(make: Callable[..., WandbCheck], budget: int | None, result: int) -> None:
    check = make(series_budget=budget)
    check.run()
    warned = [text for text in check.get_warnings() if "series_budget" in text]
    assert diagnoses(check)["series this hour"][0] == result
    assert len(warned) == (result == WARNING)


def test_the_hour_counts_what_each_of_its_collections_saw(
    make: Callable[..., WandbCheck], project: DemoProject
) -> None:
    """A run that falls silent has cost its hour; the next hour begins at nothing."""
    check = make(completed_runs="1m")
    full = NOW.replace(minute=0, second=0)
    counts = []
    for number, minutes in enumerate((0, 10, 20, 61)):
        check.clock = lambda minutes=minutes: full + timedelta(minutes=minutes)
        if number == 1:
            project.start("r2", full, heartbeat_at=full, summary={"overview/reward": 1.0})
        check.run()
        counts.append(check.hour.billed)
    first, second, third, next_hour = counts
    assert first < second == third
    assert next_hour <= second
    assert (
        f"{next_hour:,} billed series since {full + timedelta(hours=1):%Y-%m-%dT%H}:00:00Z"
        in (diagnoses(check)["series this hour"][1])
    )


def test_a_distribution_counts_five(make: Callable[..., WandbCheck], project: DemoProject) -> None:
    check = make(completed_runs="1m", metrics=["overview/reward"], max_runs=0)
    check.run()
    before = check.hour.billed
    project.finish("r1", NOW)
    check.run()
    # The run's duration and its reward, each as a distribution; per-run gauges are switched off.
    assert check.hour.billed == before + 2 * 5


def test_a_source_without_a_credential_of_the_checks_own(tmp_path: Path) -> None:
    check = TrainingCheck("metta_training", {}, [{"source": str(tmp_path / "missing.json")}])
    check.run()
    told = diagnoses(check)
    assert told["credential"][:2] == (
        SUCCESS,
        f"source {tmp_path / 'missing.json'}: health records: no credential of the check's own is needed",
    )


def test_no_secret_stands_in_a_diagnosis(make: Callable[..., WandbCheck], server: WandbServer) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    server.intercept = lambda _: Reply(500, json.dumps({"error": f"no {key}"}).encode())
    check = make(api_key=key)
    check.run()
    assert key not in check.get_diagnoses()


def test_metadata(make: Callable[..., WandbCheck]) -> None:
    check = make()
    check.check_id = "metta_wandb:1"
    for _ in range(2):
        check.run()
    told = {name: value for (_, name), value in datadog_agent._metadata.items()}
    assert told["credential_origin"] == "the option `api_key`"
    assert told["version.raw"].count(".") == 2

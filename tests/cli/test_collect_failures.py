"""`metta-checks collect` when something is wrong: the exit status, and the line that says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from simulator_support.faults import Fault

from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_server import WandbServer

Command = Callable[..., Result]
Conf = Callable[..., Path]
Instance = dict[str, Any]

TIMEOUT, GRACE = 2.0, 2.0


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def assert_failed_well(result: Result, status: int, *words: str) -> None:
    """One error (and where a credential may be found), and of the collection nothing but telemetry, with `up` 0."""
    assert result.exit_code == status
    line, *hints = result.stderr.splitlines()
    assert len(hints) <= 1
    assert all(".netrc" in hint for hint in hints)
    assert line.startswith("metta_wandb, instance 1: ")
    assert [word for word in words if word not in line] == []
    (collection,) = json.loads(result.stdout)["collections"]
    assert collection["ok"] is False
    assert line.endswith(collection["error"])
    up = [entry["value"] for entry in collection["metrics"] if entry["metric"] == "metta.check.up"]
    assert up == [0.0]
    assert all(entry["metric"].startswith("metta.check.") for entry in collection["metrics"])


def hostile(server: WandbServer, kind: str) -> dict[str, Any]:
    """Makes the server behave so, and gives the options that go with it."""
    html = Reply(200, b"<!doctype html><title>Sign in</title>", {"Content-Type": "text/html"})
    match kind:
        case "nobody listens":
            return {"base_url": nobody()}
        case "wrong key":
            return {"api_key": "w" * 40}
        case "wrong key, told by nulls":
            server.invalid_key = "null"
            return {"api_key": "w" * 40}
        case "missing project":
            return {"project": "nowhere"}
        case "html":
            server.intercept = lambda _: html
        case "html error":
            server.intercept = lambda _: Reply(404, html.body, html.headers)
        case "rate limit":
            server.budget = 0
        case "silent" | "drip_headers" | "drip_body":
            fault = Fault(kind)
            server.intercept = lambda _: fault
    return {}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nobody listens", ["refused the connection (unreachable)", "check the address and port"]),
        ("silent", ["(timed out)", "status page"]),
        ("drip_headers", ["(timed out)", "no response within the collection's 2 s", "`collection_timeout`"]),
        ("drip_body", ["(timed out)", "no response within the collection's 2 s", "`collection_timeout`"]),
        ("wrong key", ["HTTP 401", "(unauthorized)", "The key came from the option `api_key`"]),
        ("wrong key, told by nulls", ["(unauthorized)", "The key came from the option `api_key`"]),
        ("missing project", ["project metta-research/nowhere", "(not found)", "Check `entity` and `project`"]),
        ("html", ["an HTML page instead of JSON", "Check the address"]),
        ("html error", ["HTTP 404, an HTML page", "Check the address"]),
        ("rate limit", ["HTTP 429", "Its limit resets at 20", "`min_collection_interval`"]),
    ],
)
def test_a_source_that_cannot_be_read(
    command: Command, conf: Conf, instance: Instance, server: WandbServer, kind: str, words: list[str]
) -> None:
    timeout = TIMEOUT if kind in {"silent", "drip_headers", "drip_body"} else 60
    path = conf({**instance, "collection_timeout": timeout, **hostile(server, kind)})
    started = time.monotonic()
    result = command("collect", "wandb", "--config", path, "--format", "json")
    assert time.monotonic() - started < timeout + GRACE
    assert_failed_well(result, 1, *words)


def test_the_deadline_holds_for_the_whole_program(conf: Conf, instance: Instance, server: WandbServer) -> None:
    """A thread that is left behind must not keep the process."""
    asked: list[float] = []

    def drip(_: Request) -> Fault:
        asked.append(time.monotonic())
        return Fault("drip_headers")

    server.intercept = drip
    path = conf({**instance, "collection_timeout": TIMEOUT})
    program = Path(sys.executable).with_name("metta-checks")
    ran = subprocess.run(
        [program, "collect", "wandb", "--config", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert time.monotonic() - asked[0] < TIMEOUT + GRACE
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1


def test_a_missing_credential(
    command: Command, conf: Conf, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", instance["base_url"])
    path = conf({**instance, "api_key": None})
    result = command("collect", "wandb", "--config", path, "--format", "json")
    assert_failed_well(result, 1, "`api_key`", "WANDB_API_KEY", "wandb/api-key", "Set one of the three")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"entity": None}, ["`entity` is not set", "WANDB_ENTITY"]),
        ({"project": ""}, ["project"]),
        ({"timeframe": "7 dayz"}, ["`timeframe`", "not a duration", "7d"]),
        ({"max_runs": "many"}, ["max_runs"]),
        ({"run_types": {"train": "("}}, ["`run_types`", "not a regular expression"]),
        ({"run_types": {"train": "a{99999999999}"}}, ["`run_types`", "'train'", "not a regular expression"]),
        ({"base_url": "api.wandb.ai"}, ["`base_url`"]),
        ({"timeout": 0}, ["`timeout` is 0", "more than 0 seconds"]),
        ({"metric_patterns": "runs"}, ["`metric_patterns`"]),
        ({"metric_patterns": {"include": [7]}}, ["`metric_patterns`"]),
    ],
)
def test_a_configuration_that_the_check_refuses(
    command: Command, conf: Conf, instance: Instance, server: WandbServer, options: Instance, words: list[str]
) -> None:
    result = command("collect", "wandb", "--config", conf({**instance, **options}), "--format", "json")
    assert result.exit_code == 2
    (collection,) = json.loads(result.stdout)["collections"]
    assert collection["ok"] is False
    assert [word for word in words if word not in collection["error"]] == []
    (option,) = options
    if "\n" not in collection["error"]:
        assert collection["error"] in result.stderr
    assert result.stderr.startswith("metta_wandb, instance 1: ")
    assert f"`{option}`" in result.stderr
    assert server.requests == []


def test_a_wrong_configuration_weighs_more_than_a_source_that_is_away(
    command: Command, conf: Conf, instance: Instance
) -> None:
    path = conf({**instance, "project": "nowhere"}, {**instance, "timeframe": "x"}, instance)
    result = command("collect", "wandb", "--config", path, "--format", "json")
    assert result.exit_code == 2
    assert [entry["ok"] for entry in json.loads(result.stdout)["collections"]] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("instances: [", "line 1, column 13: no valid YAML"),
        (
            "instances:\n- entity: a\n  project: b: c\n",
            "line 3, column 13: no valid YAML, a `: ` is not expected here: indent",
        ),
        ("\tinstances: []", "no valid YAML"),
        ("instances: [{entity: *s3cr3t}]", "no valid YAML, a value cannot begin with `*`: put the value in quotes"),
        ("instances: [{entity: !s3cr3t x}]", "no valid YAML, a value cannot begin with `!`"),
        ("instances: []\n---\ninstances: []", "no valid YAML, a second document begins here"),
        pytest.param("[" * 3_000, "no valid YAML", id="deep"),
        ("\x00", "no valid YAML"),
        ("", "the file is empty: write `init_config:`, then `instances:`"),
        ("- entity: a", "the file is a list: write `init_config:`"),
        ("init_config:", "`instances` has to be a list"),
        ("instances:", "`instances` has to be a list"),
        ("instances: []", "`instances` has to be a list with at least one entry"),
        ("instances: {entity: a}", "`instances` has to be a list"),
        ("instances: [{entity: a}, text]", "line 1: instance 2 is text, not a mapping of options"),
        ("instances: [5]", "line 1: instance 1 is a number, not a mapping"),
        (
            "instances: [{entity: a}]\ninit_config: [1]",
            "line 2: `init_config` is a list: write `init_config:` with nothing behind it",
        ),
    ],
)
def test_a_file_that_is_no_configuration(command: Command, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text(text, encoding="utf-8")
    result = command("collect", "wandb", "--config", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path}: " in result.stderr
    assert words in result.stderr
    assert "s3cr3t" not in result.stderr


def test_files_that_cannot_be_read(command: Command, tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("instances: [{entity: Zürich}]".encode("latin-1"))
    for path, words in (
        (tmp_path / "nowhere.yaml", ": No such file"),
        (tmp_path, " has no configuration of metta_wandb: nothing to collect"),
        (latin, ": this is not UTF-8 text"),
    ):
        result = command("collect", "wandb", "--config", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{path}{words}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["nonsense"], "there is no check 'nonsense'; the checks are wandb"),
        (["wandb", "--config"], "--config"),
        (["wandb", "--format", "xml"], "--format"),
        (["wandb", "--instance", "0"], "--instance"),
        (["wandb", "--instance", "2"], "--instance 2: the configuration has 1"),
        (["wandb", "--repeat", "0"], "--repeat"),
        (["wandb", "--pause", "-1"], "--pause"),
        (["wandb", "--pause", "nan"], "--pause"),
        (["wandb", "--pause", "inf"], "--pause"),
        (["wandb", "surplus"], "surplus"),
        (["wandb", "--push-it"], "--push-it"),
    ],
)
def test_usage(command: Command, arguments: list[str], words: str) -> None:
    result = command("collect", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("options", [{"project": "nowhere"}, {"timeframe": "x"}, {"metric_patterns": "x"}])
def test_a_traceback_is_there_for_those_who_ask(
    command: Command, conf: Conf, instance: Instance, options: Instance
) -> None:
    arguments = ("collect", "wandb", "--config", conf({**instance, **options}))
    assert "Traceback" not in command(*arguments).output
    assert "Traceback (most recent call last)" in command(*arguments, "--verbose").stderr


def test_an_error_that_nobody_foresaw_says_of_what_kind_it_is(
    command: Command, conf: Conf, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(*_: Any) -> Any:
        raise KeyError("heartbeatAt")

    monkeypatch.setattr("metta_checks.wandb.check.WandbCheck.collect", collect)
    result = command("collect", "wandb", "--config", conf(instance), "--format", "json")
    assert_failed_well(result, 1, "KeyError: 'heartbeatAt'")

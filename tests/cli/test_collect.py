"""`metta-checks collect`: what it shows of a collection, and where."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

Command = Callable[..., Result]
Conf = Callable[..., Path]
Instance = dict[str, Any]

PROJECT_TAGS = ["wandb_entity:metta-research", "wandb_project:metta"]


def document_of(result: Result) -> Any:
    """Standard output as the one JSON document that it is."""
    return json.loads(result.stdout)


def values(collection: dict[str, Any], metric: str) -> list[float]:
    return [entry["value"] for entry in collection["metrics"] if entry["metric"] == metric]


def test_the_document(command: Command, conf: Conf, instance: Instance) -> None:
    result = command("collect", "wandb", "--config", conf({**instance, "tags": ["team:rl"]}), "--format", "json")
    assert result.exit_code == 0
    assert result.stderr == ""
    document = document_of(result)
    assert list(document) == ["check", "collections"]
    assert document["check"] == "metta_wandb"
    (collection,) = document["collections"]
    metrics = collection.pop("metrics")
    assert 0 < collection.pop("duration_seconds") < 60
    assert datetime.fromisoformat(collection.pop("at")).tzinfo is not None
    assert collection == {
        "instance": 1,
        "collection": 1,
        "ok": True,
        "error": None,
        "warnings": [],
        "requests": 1,
    }
    run = ["run_id:r1", "run_name:github.sky.main", "run_type:train", "state:finished", "team:rl", *PROJECT_TAGS]
    assert [entry for entry in metrics if entry["metric"].startswith("wandb.run.")] == [
        {"metric": "wandb.run.duration_hours", "type": "gauge", "value": 6.0, "tags": run},
        {
            "metric": "wandb.run.metric",
            "type": "gauge",
            "value": 4.5,
            "tags": ["metric_name:overview/reward", *run],
        },
    ]
    counts = [entry for entry in metrics if entry["metric"] == "wandb.runs"]
    assert len(counts) == 9
    assert counts[-2] == {
        "metric": "wandb.runs",
        "type": "gauge",
        "value": 1.0,
        "tags": ["run_type:train", "state:finished", "team:rl", "timeframe:7d", *PROJECT_TAGS],
    }
    assert {entry["metric"] for entry in metrics if entry["metric"].startswith("metta.check.")} == {
        f"metta.check.{name}" for name in ("up", "duration_seconds", "requests", "series", "dropped", "quota_remaining")
    }
    for entry in metrics:
        assert list(entry) == ["metric", "type", "value", "tags"]
        assert entry["tags"] == sorted(entry["tags"])
        assert isinstance(entry["value"], float)
    assert metrics == sorted(metrics, key=lambda entry: (entry["metric"], entry["tags"]))


def test_instances_outermost_then_repeats(command: Command, conf: Conf, instance: Instance) -> None:
    path = conf(instance, {**instance, "max_runs": 0})
    document = document_of(command("collect", "wandb", "--config", path, "--repeat", 2, "--format", "json"))
    assert [(entry["instance"], entry["collection"]) for entry in document["collections"]] == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    assert [bool(values(entry, "wandb.run.metric")) for entry in document["collections"]] == [True, True, False, False]


def test_repeats_are_collections_of_one_check(
    command: Command, conf: Conf, instance: Instance, project: DemoProject, server: WandbServer
) -> None:
    """As in the Agent, the second one knows what the first one saw: a run that ends gives a distribution point."""
    project.start("r2", project["r1"].created_at, heartbeat_at=project["r1"].heartbeat_at, summary={"overview/sps": 9})
    answered = server.answer

    def answer(request: Any) -> Any:
        response = answered(request)
        project.crash("r2")
        return response

    server.answer = answer  # type: ignore[method-assign]
    path = conf({**instance, "events": True})
    first, second = document_of(command("collect", "wandb", "--config", path, "--repeat", 2, "--format", "json"))[
        "collections"
    ]
    assert "events" not in first
    assert {entry["type"] for entry in first["metrics"]} == {"gauge"}
    assert [entry for entry in second["metrics"] if entry["type"] == "distribution"] == [
        {
            "metric": f"wandb.run.completed.{name}",
            "type": "distribution",
            "value": value,
            "tags": ["run_type:all", "state:failed", *PROJECT_TAGS],
        }
        for name, value in (("duration_hours", 6.0), ("sps", 9.0))
    ]
    (event,) = second["events"]
    assert event["msg_title"] == "W&B run crashed: r2"


def test_one_instance_of_many(command: Command, conf: Conf, instance: Instance, server: WandbServer) -> None:
    path = conf({"entity": "broken"}, instance)
    result = command("collect", "wandb", "--config", path, "--instance", 2, "--format", "json")
    assert result.exit_code == 0
    assert [entry["instance"] for entry in document_of(result)["collections"]] == [2]
    assert len(server.requests) == 1


def test_one_failing_instance_does_not_take_the_others_with_it(
    command: Command, conf: Conf, instance: Instance
) -> None:
    path = conf({**instance, "project": "nowhere"}, instance)
    result = command("collect", "wandb", "--config", path, "--format", "json")
    assert result.exit_code == 1
    assert [entry["ok"] for entry in document_of(result)["collections"]] == [False, True]
    (line,) = result.stderr.splitlines()
    assert line.startswith("metta_wandb, instance 1: W&B: ")


@pytest.mark.parametrize("name", ["wandb", "metta_wandb"])
def test_the_environment_is_enough(
    command: Command, instance: Instance, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for option in ("entity", "project", "base_url", "api_key"):
        monkeypatch.setenv(f"WANDB_{option.upper()}", instance[option])
    result = command("collect", name, "--dry-run", "--format", "json")
    assert result.exit_code == 0
    assert document_of(result)["check"] == "metta_wandb"


def test_init_config_reaches_the_check(command: Command, conf: Conf, instance: Instance) -> None:
    path = conf(instance, init_config={"proxy": {"http": "http://127.0.0.1:9"}})
    assert "the proxy did not let it through" in command("collect", "wandb", "--config", path).stderr


@pytest.mark.parametrize(
    ("own", "shared"),
    [("training", None), (None, "training"), ("training", "everything"), ("", "training")],
)
def test_service_is_the_tag_that_the_agent_adds(
    command: Command,
    conf: Conf,
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    shared: str | None,
) -> None:
    """From the instance, else from what all instances share; the Agent's environment comes after both."""
    monkeypatch.setenv("DD_SERVICE", "agent")
    path = conf({**instance, "service": own}, init_config={"service": shared})
    (collection,) = document_of(command("collect", "wandb", "--config", path, "--format", "json"))["collections"]
    assert {text for entry in collection["metrics"] for text in entry["tags"] if text.startswith("service:")} == {
        "service:training"
    }
    assert all("service:training" in entry["tags"] for entry in collection["metrics"])


def test_the_runner_is_this_machine(
    command: Command, conf: Conf, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_HOSTNAME", "node-7")
    (collection,) = document_of(command("collect", "wandb", "--config", conf(instance), "--format", "json"))[
        "collections"
    ]
    (up,) = (entry for entry in collection["metrics"] if entry["metric"] == "metta.check.up")
    assert up["tags"] == ["check_name:metta_wandb", "runner:node-7", *PROJECT_TAGS]


def test_the_table(command: Command, conf: Conf, instance: Instance) -> None:
    result = command("collect", "wandb", "--config", conf(instance))
    head, shared, *lines = result.stdout.splitlines()
    assert head.startswith("metta_wandb, instance 1, collection 1: ok, 23 series, 1 request, ")
    assert shared == "  on every series: wandb_entity:metta-research wandb_project:metta"
    assert [line.split()[2:4] for line in lines if line.startswith("  wandb.runs ")] == [["9", "series"]]
    assert sum("timeframe:7d" in line for line in lines) == 2  # examples

    result = command("collect", "wandb", "--config", conf(instance), "--verbose")
    assert sum("timeframe:7d" in line for line in result.stdout.splitlines()) == 9
    assert (
        f"debug: W&B: POST {instance['base_url']}/graphql for project metta-research/metta: HTTP 200" in result.stderr
    )


@pytest.mark.parametrize("form", ["json", "table"])
def test_output_goes_to_a_file_instead(
    command: Command, conf: Conf, instance: Instance, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "out.txt"
    path.write_text("something old and longer than nothing")
    arguments = ("collect", "wandb", "--config", conf(instance), "--format", form)
    result = command(*arguments, "--output", path)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    if form == "json":
        assert json.loads(text)["check"] == "metta_wandb"
    else:
        assert text.startswith("metta_wandb, instance 1, collection 1: ok, ")
    assert text.endswith("\n")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["conf.yaml", "out.txt"]


def test_a_failed_collection_is_written_too(command: Command, conf: Conf, instance: Instance, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    conf_path = conf({**instance, "project": "nowhere"})
    assert command("collect", "wandb", "--config", conf_path, "--format", "json", "--output", path).exit_code == 1
    (collection,) = json.loads(path.read_text(encoding="utf-8"))["collections"]
    assert collection["ok"] is False


def test_a_pipe_is_written_to_and_not_replaced(
    command: Command, conf: Conf, instance: Instance, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    result = command("collect", "wandb", "--config", conf(instance), "--format", "json", "--output", pipe)
    assert result.exit_code == 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.read(reader, 4096).startswith(b'{\n "check": "metta_wandb"')
    os.close(reader)


@pytest.mark.parametrize("name", ["no/such/folder/out.json", "."])
def test_an_output_that_cannot_be_is_told_before_anything_is_collected(
    command: Command, conf: Conf, instance: Instance, server: WandbServer, tmp_path: Path, name: str
) -> None:
    result = command("collect", "wandb", "--config", conf(instance), "--output", tmp_path / name)
    assert result.exit_code == 2
    assert "--output" in result.stderr
    assert server.requests == []


def test_names_from_the_source_do_not_break_the_document(
    command: Command, conf: Conf, instance: Instance, project: DemoProject
) -> None:
    for number, name in enumerate(("🚀", "half a pair: \ud83d", 'quoted "twice" \\', "日本語", "a\x00b\u2028c")):
        project.start(f"x{number}", project["r1"].created_at, display_name=name)
    (collection,) = document_of(command("collect", "wandb", "--config", conf(instance), "--format", "json"))[
        "collections"
    ]
    names = {tag for entry in collection["metrics"] for tag in entry["tags"] if tag.startswith("run_name:")}
    assert {"run_name:🚀", "run_name:half a pair: \ufffd", "run_name:a_b_c"} <= names


def test_the_pause_is_between_collections(
    command: Command, conf: Conf, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("metta_checks.cli.runner.time.sleep", slept.append)
    arguments = ("--repeat", 3, "--pause", 0.25, "--format", "json")
    assert command("collect", "wandb", "--config", conf(instance), *arguments).exit_code == 0
    assert slept == [0.25, 0.25]


def test_the_example_file_of_the_repository_is_read_as_it_is(command: Command) -> None:
    example = Path(__file__).parents[2] / "conf.d" / "metta_wandb.d" / "conf.yaml.example"
    assert yaml.safe_load(example.read_text(encoding="utf-8"))["instances"][0]["entity"] == "<ENTITY>"
    result = command("collect", "wandb", "--config", example)
    assert result.exit_code == 2
    assert "`entity`: still holds <ENTITY> of the example: put your own value there" in result.stderr
    assert "`project`: still holds <PROJECT> of the example" in result.stderr

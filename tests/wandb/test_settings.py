"""The options of an instance: where they come from, and which are refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.wandb_server import WandbServer
from metta_checks.wandb.check import WandbCheck
from metta_checks.wandb.config_models import InstanceConfig
from metta_checks.wandb.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "conf.d" / "metta_wandb.d" / "conf.yaml.example"

NewCheck = Callable[..., WandbCheck]


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """The settings that come of these options alone."""

    def resolve(**options: Any) -> Settings:
        check = WandbCheck(name="metta_wandb", init_config=None, instances=[options])
        check.load_configuration_models()
        return check.settings

    return resolve


Resolve = Callable[..., Settings]

PROJECT = {"entity": "metta-research", "project": "metta"}


def test_defaults(settings: Resolve) -> None:
    resolved = settings(**PROJECT)
    assert resolved.named[0].base_url == "https://api.wandb.ai"
    assert resolved.timeframe == timedelta(days=7)
    assert resolved.completed_runs == timedelta(hours=1)
    assert (resolved.max_runs, resolved.page_size, resolved.max_pages) == (500, 1000, 100)
    assert resolved.reader.run_types.names == ("train", "sweep", "all")
    assert resolved.reader.selection.summary_keys == [
        "overview/reward",
        "env_agent/heart.gained",
        # It could stand inside an object.
        "env_agent/heart",
        "skypilot/queue_latency_s",
        "overview/steps_per_second",
        "overview/sps",
        "_timestamp",
    ]


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, {"WANDB_ENTITY": "e", "WANDB_PROJECT": "p"}, ("e", "p", "https://api.wandb.ai")),
        (PROJECT, {"WANDB_ENTITY": "e"}, ("metta-research", "metta", "https://api.wandb.ai")),
        # Option by option, not all or nothing; null is not set.
        (
            {"entity": "mine", "project": None, "base_url": None},
            {"WANDB_ENTITY": "e", "WANDB_PROJECT": " p\n", "WANDB_BASE_URL": "http://w:80/"},
            ("mine", "p", "http://w:80"),
        ),
        ({**PROJECT, "base_url": "https://w/api//"}, {}, ("metta-research", "metta", "https://w/api")),
        ({**PROJECT, "base_url": " https://w/ "}, {"WANDB_BASE_URL": "x"}, ("metta-research", "metta", "https://w")),
        ({"entity": " e ", "project": "p p"}, {}, ("e", "p p", "https://api.wandb.ai")),
    ],
)
def test_the_instance_then_the_environment_then_the_default(
    settings: Resolve,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    expected: tuple[str, str, str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (project,) = settings(**options).named
    assert (project.entity, project.name, project.base_url) == expected


def test_options_that_are_null_are_not_set(new_check: NewCheck) -> None:
    nothing = {name: None for name in InstanceConfig.model_fields if name not in {"entity", "project", "base_url"}}
    check = new_check(**{**nothing, "api_key": "k"})
    check.load_configuration_models()
    assert check.settings.max_runs == 500
    assert check.instance_tags == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"entity": None}, "`entity` is not set: give it in the instance or as WANDB_ENTITY"),
        ({"project": "  "}, "`project` is not set: give it in the instance or as WANDB_PROJECT"),
        ({"entity": ""}, "entity"),
        ({"project": 7}, "project"),
        ({"timeframe": "7 dayz"}, "`timeframe`: '7 dayz' is not a duration"),
        ({"timeframe": "week"}, "`timeframe`: 'week' is not a duration"),
        ({"timeframe": "0d"}, "`timeframe`: '0d' is out of range"),
        ({"timeframe": 7}, "timeframe"),
        ({"completed_runs": "-1h"}, "`completed_runs`: '-1h' is not a duration"),
        ({"completed_runs": "1.5h"}, "`completed_runs`: '1.5h' is not a duration"),
        ({"full_refresh": "999999999w"}, "`full_refresh`: '999999999w' is out of range"),
        ({"run_types": {"train": "("}}, "`run_types`: the pattern of run type 'train'"),
        ({"run_types": {"train": "^(a+)+$"}}, "`run_types`: the pattern of run type 'train' can take too long"),
        ({"run_types": {"all": "."}}, "`run_types`: a run type cannot be called 'all'"),
        ({"run_types": {"train": None}}, "run_types -> 1 -> pattern\n  Input should be a valid string"),
        # YAML's own idea of `on: nightly`.
        ({"run_types": {True: "nightly"}}, "run_types -> 1 -> name\n  Input should be a valid string"),
        ({"run_types": ["train"]}, "run_types"),
        ({"run_tags": ["gpu"]}, "run_tags -> 1"),
        ({"system_metrics": ["gpu_utilization", "gpu"]}, "system_metrics -> 2"),
        ({"metrics": "overview/reward"}, "metrics"),
        ({"metrics": ["a", None]}, "metrics -> 2"),
        ({"max_runs": -1}, "max_runs"),
        ({"page_size": 1001}, "page_size"),
        ({"page_size": 0}, "page_size"),
        ({"max_pages": 0}, "max_pages"),
        ({"collection_timeout": 0}, "collection_timeout"),
        ({"collection_timeout": float("nan")}, "collection_timeout"),
        ({"collection_timeout": 3601}, "collection_timeout"),
        ({"tags": "env:prod"}, "tags"),
        ({"tags": ["env:prod", 7]}, "tags -> 2"),
        ({"tags": [{"env": "prod"}]}, "tags -> 1"),
        ({"service": ["a"]}, "service"),
        ({"min_collection_interval": "often"}, "min_collection_interval"),
        ({"base_url": "api.wandb.ai"}, "`base_url`: write the address as https://host"),
        ({"base_url": "ftp://api.wandb.ai"}, "`base_url`: write the address"),
        ({"base_url": "https://"}, "`base_url`: write the address"),
        ({"base_url": "https://host:s3cr3t"}, "`base_url`: write the address"),
        ({"base_url": "https://[::1"}, "`base_url`: write the address"),
        ({"base_url": "https://h?token=s3cr3t"}, "`base_url`: write the address"),
        ({"base_url": "https://me:s3cr3t@host"}, "`base_url`: write the address"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    new_check: NewCheck, server: WandbServer, aggregator: AggregatorStub, options: dict[str, Any], words: str
) -> None:
    check = new_check(**options)
    (report,) = json.loads(check.run())
    assert isinstance(check.collection.error, ConfigurationError)
    assert words in report["message"]
    assert "s3cr3t" not in json.dumps(report)
    assert server.requests == []
    aggregator.assert_metric("metta.check.up", 0.0, count=1)


def test_a_key_that_is_no_text_is_refused_without_being_shown(new_check: NewCheck) -> None:
    (report,) = json.loads(new_check(api_key=98765432109876543210).run())
    assert "api_key" in report["message"]
    assert "98765" not in json.dumps(report)


def test_the_state_belongs_to_what_is_watched(new_check: NewCheck) -> None:
    def cache_id(**options: Any) -> str:
        check = new_check(**options)
        check.load_configuration_models()
        return check.targets()[0].key

    same = cache_id()
    assert cache_id(tags=["env:dev"], max_runs=7, timeframe="1d") == same
    others = {
        cache_id(entity="metta", project="metta-research"),  # swapped
        cache_id(project="other"),
        cache_id(base_url="http://127.0.0.1:9"),
    }
    assert len(others | {same}) == 4


def test_the_example_is_a_configuration() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for placeholder, value in {
        "<ENTITY>": "metta-research",
        "<PROJECT>": "metta",
        "<ENV>": "prod",
        "<TEAM>": "rl",
    }.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    document = yaml.safe_load(text)
    (instance,) = document["instances"]
    assert instance == {
        "entity": "metta-research",
        "project": "metta",
        "tags": ["env:prod", "team:rl"],
        "min_collection_interval": 120,
        "empty_default_hostname": True,
    }
    check = WandbCheck(name="metta_wandb", init_config=document["init_config"], instances=[instance])
    check.load_configuration_models()
    assert check.settings.entity == "metta-research"


def test_what_the_example_shows_as_options_are_options() -> None:
    """Each commented option, uncommented, is one that the model knows and takes."""
    lines = EXAMPLE.read_text(encoding="utf-8").partition("instances:")[2].splitlines()
    shown = [line.replace("    # ", "    ", 1) for line in lines if line.startswith(("    # ", "  - "))]
    (instance,) = yaml.safe_load("\n".join(shown))
    instance |= {"entity": "e", "project": None}
    assert set(instance) <= set(InstanceConfig.model_fields)
    check = WandbCheck(name="metta_wandb", init_config={}, instances=[instance])
    check.load_configuration_models()
    assert check.settings.reader.run_tags == ("user", "group")

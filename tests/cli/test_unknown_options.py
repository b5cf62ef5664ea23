"""An option that no check has is named with what was meant: by `validate`, by `collect` and in `agent status`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from metta_checks.ci.check import CiCheck
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

Command = Callable[..., Result]
Conf = Callable[..., Path]
Instance = dict[str, Any]

SLIPS = [
    ("max_rnus", "; did you mean `max_runs`?"),
    ("max-runs", "; did you mean `max_runs`?"),
    ("MaxRuns", "; did you mean `max_runs`"),
    ("metric", "; did you mean `metrics`"),
    ("run_type", "; did you mean `run_types`"),
    ("systemmetrics", "; did you mean `system_metrics`"),
    ("time_frame", "; did you mean `timeframe`"),
    ("minimum_collection_interval", "; did you mean `min_collection_interval`"),
    ("tag", "; did you mean `tags`"),
    ("collection_time_out", "; did you mean `collection_timeout`"),
    ("zzz", ""),
]


@pytest.mark.parametrize(("option", "meant"), SLIPS)
def test_collect_and_validate_name_it(
    command: Command, conf: Conf, instance: Instance, option: str, meant: str
) -> None:
    path = conf({**instance, option: 5})
    result = command("collect", "wandb", "--config", path, "--format", "json")
    (collection,) = json.loads(result.stdout)["collections"]
    (warning,) = collection["warnings"]
    assert (result.exit_code, collection["ok"]) == (0, True)
    assert warning.startswith(f"`{option}`: there is no such option, so it has no effect{meant}")
    result = command("validate", "--check", "wandb", path, "--format", "json")
    (fault,) = [one for one in json.loads(result.stdout)["findings"] if one["level"] == "fault"]
    assert (result.exit_code, fault["option"]) == (1, option)
    assert fault["text"].startswith(f"there is no such option{meant}")


@pytest.mark.parametrize(
    ("check_class", "given", "shared", "said"),
    [
        (WandbCheck, {"entity": "a", "project": "b", "max_rnus": 5}, {}, "`max_rnus`: there is no such option"),
        (CiCheck, {"repo": "a/b", "bransh": "main"}, {}, "`bransh`: there is no such option, so it has no effect; did"),
        (TrainingCheck, {"source": "/no/file", "maxage": "26h"}, {}, "did you mean `max_age`?"),
        (TrainingCheck, {"source": "/no/file"}, {"proxxy": {}}, "`proxxy` in `init_config`: there is no such option"),
        # What is meant by it is the very option that is missing.
        (WandbCheck, {"entitty": "a", "project": "b"}, {}, "did you mean `entity`?"),
        (TrainingCheck, {"sorce": "/no/file"}, {}, "did you mean `source`?"),
    ],
)
def test_agent_status_names_it(
    check_class: type, given: Instance, shared: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    check = check_class("metta_check", shared, [{**given, "empty_default_hostname": True, "collection_timeout": 2}])
    check.run()
    assert [text for text in check.get_warnings() if said in text]


def test_many_are_three_and_a_count(command: Command, conf: Conf, instance: Instance) -> None:
    path = conf({**instance, **{f"option_{number}": 1 for number in range(9)}})
    (collection,) = json.loads(command("collect", "wandb", "--config", path, "--format", "json").stdout)["collections"]
    assert len(collection["warnings"]) == 4
    assert collection["warnings"][-1] == "6 more like these"


def test_the_options_of_the_agent_are_known(command: Command, conf: Conf, instance: Instance) -> None:
    more = {"name": "a", "namespace": "b", "no_index": False, "loader": "python", "service": "c"}
    path = conf({**instance, **more}, init_config={"service": "d"})
    (collection,) = json.loads(command("collect", "wandb", "--config", path, "--format", "json").stdout)["collections"]
    assert collection["warnings"] == []

"""`metta-checks validate`: every fault with its place, and warnings of what will hurt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

Command = Callable[..., Result]

GOOD = {
    "entity": "team",
    "project": "arena",
    "tags": ["env:prod"],
    "min_collection_interval": 120,
    "empty_default_hostname": True,
}
HEALTH = {**GOOD, "source": "s3://bucket/key.json"} | {}
del HEALTH["entity"], HEALTH["project"]
CI = {**HEALTH, "repo": "team/arena"}
del CI["source"]


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration into a `conf.d` and returns its path."""

    def write(*instances: Any, folder: str = "metta_wandb.d", name: str = "conf.yaml", **top: Any) -> Path:
        path = tmp_path / "agent" / "conf.d" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"init_config": None, "instances": list(instances), **top}))
        path.chmod(0o640)
        return path

    return write


def findings(result: Result) -> list[tuple[str, int | None, str | None, str]]:
    """Level, instance, option and text."""
    return [
        (one["level"], one["instance"], one["option"], one["text"]) for one in json.loads(result.stdout)["findings"]
    ]


def test_a_good_configuration(command: Command, tree: Callable[..., Path]) -> None:
    result = command("validate", tree(GOOD))
    shown = result.stdout.splitlines()
    assert (result.exit_code, shown[-1], result.stderr) == (0, "1 file: 0 faults, 0 warnings", "")
    assert shown[0].endswith("/metta_wandb.d/conf.yaml: ok")
    assert " ".join(" ".join(shown[1:-1]).split()) == (
        "credential: instance 1: neither `api_key` nor WANDB_API_KEY is set; the check would then read the AWS secret "
        "wandb/api-key (not tried here); it is sent to https://api.wandb.ai"
    )


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "the environment variable WANDB_API_KEY; it is sent to https://api.wandb.ai"),
        ({"api_key_secret": "x"}, "the AWS secret x (not tried here); it is sent to https://api.wandb.ai"),
        ({"base_url": "https://w", "api_key": "ENC[x]"}, "the option `api_key`, which the Agent's secret backend"),
    ],
)
def test_where_a_credential_comes_from_and_goes(
    command: Command, tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], shown: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    result = command("validate", tree({**GOOD, **options}), "--format", "json")
    (credential,) = json.loads(result.stdout)["credentials"]
    assert credential["text"].startswith(shown)
    assert "0123456789abcdef" not in result.output


def test_a_credential_that_would_go_to_another_server(command: Command, tree: Callable[..., Path]) -> None:
    result = command("validate", tree({**GOOD, "base_url": "https://partner.example"}), "--format", "json")
    ((level, number, option, text),) = findings(result)
    assert (result.exit_code, level, number, option) == (1, "fault", 1, "base_url")
    assert text.startswith("is https://partner.example, and this instance has no W&B API key of its own")


@pytest.mark.parametrize(
    ("change", "option", "said"),
    [
        ({"entity": None}, "entity", "is not set: give it in the instance or as WANDB_ENTITY"),
        ({"timefrme": "7d"}, "timefrme", "there is no such option; did you mean `timeframe`?"),
        ({"max-runs": 5}, "max-runs", "there is no such option; did you mean `max_runs`?"),
        ({"branch": "main"}, "branch", "metta_wandb has no such option; it is one of metta_ci"),
        ({"zzz": 1}, "zzz", "there is no such option"),
        ({"cluster_check": True}, "cluster_check", "it belongs at the top of the file"),
        ({"timeframe": "7 days"}, "timeframe", "'7 days' is not a duration"),
        ({"max_runs": "many"}, "max_runs", "is text (`many`): write a whole number, `max_runs: 500`"),
        ({"max_runs": -1}, "max_runs", "is `-1`: it must be at least 0"),
        (
            {"system_metrics": ["gpu_utilization", "gpu_heat"]},
            "system_metrics",
            "entry 2 is text (`gpu_heat`): write one of gpu_utilization, ",
        ),
        ({"run_types": {"train": "("}}, "run_types", "not a regular expression"),
        ({"run_types": {"train": "a{99999999999}"}}, "run_types", "'train' is not a regular expression"),
        ({"run_types": {"train": "^(a+)+$"}}, "run_types", "can take too long on some names: within a repetition"),
        ({"run_types": {"train": r"(\w+\s?)+"}}, "run_types", "'train' can take too long"),
        ({"run_types": {"train": "(a|a)*b"}}, "run_types", "(it is `(a|a)*b`)"),
        ({"tags": [{"env": "prod"}]}, "tags", "entry 1 is a mapping for YAML: write `env:prod`, without the space"),
        ({"tags": ["env:prod", 5]}, "tags", 'entry 2 is `5`: write `- "5"`'),
        ({"project": "<PROJECT>"}, "project", "still holds <PROJECT> of the example"),
        ({"tags": ["env:<ENV>"]}, "tags", "still holds <ENV> of the example"),
        ({"base_url": "api.wandb.ai"}, "base_url", "https://"),
        ({"min_collection_interval": 1.5}, "min_collection_interval", "is `1.5`: write a whole number"),
        ({"timeout": 0}, "timeout", "is 0: it must be more than 0 seconds"),
        ({"connect_timeout": -1}, "connect_timeout", "is -1: it must be more than 0 seconds"),
        ({"read_timeout": 0.0}, "read_timeout", "is 0: it must be more than 0 seconds"),
        ({"metric_patterns": "all"}, "metric_patterns", "is text: write a mapping with `include`"),
        (
            {"metric_patterns": {"include": "wandb"}},
            "metric_patterns",
            "`include` is text: write a list, `include: [wa",
        ),
        ({"metric_patterns": {"exclude": ["("]}}, "metric_patterns", "`exclude`, entry 1 is not a regular expression"),
        ({"metric_patterns": {"include": ["a", 5]}}, "metric_patterns", "`include`, entry 2 is a number: write text"),
        ({"debug_metrics": 5}, "debug_metrics", "cannot be used in this form: look at its type in conf.yaml.example"),
    ],
)
def test_a_fault_of_an_instance(
    command: Command, tree: Callable[..., Path], change: dict[str, Any], option: str | None, said: str
) -> None:
    result = command("validate", tree(GOOD, {**GOOD, **change}), "--format", "json")
    faults = [finding for finding in findings(result) if finding[0] == "fault"]
    assert result.exit_code == 1
    assert [(level, number, name) for level, number, name, _ in faults] == [("fault", 2, option)]
    assert said in faults[0][3]


def test_a_condition_that_is_no_text(command: Command, tree: Callable[..., Path]) -> None:
    path = tree({**CI, "conditions": {"ci.workflow.cancelled": 5}}, folder="metta_ci.d")
    ((level, number, option, text),) = findings(command("validate", path, "--format", "json"))
    assert (level, number, option) == ("fault", 1, "conditions")
    assert text == "the condition of ci.workflow.cancelled is no text: write it in quotes, such as '< 5'"


@pytest.mark.parametrize(
    ("top", "option", "said"),
    [
        ({"cluster_chekc": True}, "cluster_chekc", "the Agent does not read it; did you mean `cluster_check`?"),
        ({"timeframe": "7d"}, "timeframe", "it belongs in each entry of `instances`"),
        (
            {"cluster_check": "true"},
            "cluster_check",
            "is text in quotes (`'true'`): write true or false without quotes, `cluster_check: true`",
        ),
        ({"init_config": {"timeframe": "7d"}}, "timeframe", "it belongs in each entry of `instances`"),
        ({"init_config": {"cluster_check": True}}, "cluster_check", "it belongs at the top of the file"),
        ({"init_config": {"proxxy": {}}}, "proxxy", "there is no such option; did you mean `proxy`?"),
        ({"init_config": {"proxy": "http://proxy"}}, "proxy", "in `init_config`: "),
        ({"init_config": {"timeout": 0}}, "timeout", "in `init_config`: is 0: it must be more than 0 seconds"),
        ({"init_config": {"timeout": "soon"}}, "timeout", "in `init_config`: is text (`soon`): write a number"),
        ({"init_config": ["proxy"]}, None, "`init_config` is a list: write `init_config:` with nothing behind it"),
        ({"instances": []}, None, "`instances` has to be a list with at least one entry"),
        ({"instances": [5]}, None, "instance 1 is a number, not a mapping of options"),
    ],
)
def test_a_fault_of_the_file(
    command: Command, tree: Callable[..., Path], top: dict[str, Any], option: str | None, said: str
) -> None:
    result = command("validate", tree(GOOD, **top), "--format", "json")
    assert result.exit_code == 1
    ((level, number, name, text),) = findings(result)
    assert (level, number, name) == ("fault", None, option)
    assert said in text


def test_five_mistakes_are_put_right_from_one_report(command: Command, tree: Callable[..., Path]) -> None:
    wrong = {
        "entitty": "team",
        "project": "<PROJECT>",
        "timeframe": "a week",
        "tags": [{"env": "prod"}],
        "max_runs": "many",
        "min_collection_interval": 120,
        "empty_default_hostname": True,
    }
    result = command("validate", tree(wrong), "--format", "json")
    named = {option for _, _, option, _ in findings(result)}
    assert named == {"entitty", "entity", "project", "timeframe", "tags", "max_runs"}


def test_yaml_that_is_none_is_told_with_its_line(command: Command, tree: Callable[..., Path]) -> None:
    path = tree(GOOD)
    path.write_text("init_config:\ninstances:\n  - entity: a\n   project: b\n")
    result = command("validate", path)
    assert result.exit_code == 1
    assert "line 4" in result.stdout


@pytest.mark.parametrize(
    ("change", "top", "option", "said"),
    [
        ({"empty_default_hostname": False}, {}, "empty_default_hostname", "is not true"),
        ({"empty_default_hostname": None}, {}, "empty_default_hostname", "is not true"),
        ({"tags": ["team:research"]}, {}, "tags", "no `env:` tag anywhere"),
        ({"tags": ["env:prod", "host:a"]}, {}, "tags", "`host:` ties figures"),
        ({"tags": ["env:prod", "service:a"], "service": "b"}, {}, "tags", "each series carries both"),
        ({"tags": ["env:prod", "research"]}, {}, "tags", "`research` has no value"),
        ({"min_collection_interval": 301}, {}, "min_collection_interval", "graphs get holes"),
        ({"collection_timeout": 121}, {}, "collection_timeout", "it would be skipped"),
        ({"api_key": "0123456789abcdef"}, {}, "api_key", "the file contains a plain secret"),
        ({"proxy": {"https": "http://me:pw@proxy:1"}}, {}, "proxy", "an address holds a password"),
        ({}, {"ad_identifiers": ["redis"]}, "ad_identifiers", "beside each matching container"),
    ],
)
def test_a_warning(
    command: Command, tree: Callable[..., Path], change: dict[str, Any], top: dict[str, Any], option: str, said: str
) -> None:
    path = tree({**GOOD, **change}, **top)
    result = command("validate", path, "--format", "json")
    ((level, _, name, text),) = findings(result)
    assert (result.exit_code, level, name) == (0, "warning", option)
    assert said in text
    assert "0123456789abcdef" not in result.output
    assert command("validate", path, "--strict").exit_code == 1


def test_no_interval_means_every_fifteen_seconds(command: Command, tree: Callable[..., Path]) -> None:
    without = {option: value for option, value in GOOD.items() if option != "min_collection_interval"}
    ((_, _, option, text),) = findings(command("validate", tree(without), "--format", "json"))
    assert (option, text) == ("min_collection_interval", "is not set: the check would run every 15 s")


@pytest.mark.parametrize("secret", ["ENC[wandb/api-key;key]", ""])
def test_what_is_no_plain_secret(command: Command, tree: Callable[..., Path], secret: str) -> None:
    result = command("validate", tree({**GOOD, "api_key": secret or None}), "--format", "json")
    assert findings(result) == []


def test_a_secret_that_everybody_can_read(command: Command, tree: Callable[..., Path]) -> None:
    path = tree({**GOOD, "api_key": "0123456789abcdef"})
    path.chmod(0o644)
    texts = [text for *_, text in findings(command("validate", path, "--format", "json"))]
    assert any("every user of this machine can read the file" in text for text in texts)


@pytest.mark.parametrize("by", ["DD_ENV", "datadog.yaml"])
def test_the_environment_may_be_named_elsewhere(
    command: Command, tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    path = tree({**GOOD, "tags": []})
    if by == "DD_ENV":
        monkeypatch.setenv("DD_ENV", "prod")
    else:
        (path.parents[2] / "datadog.yaml").write_text("api_key: x\nenv: prod\n")
    assert findings(command("validate", path, "--format", "json")) == []


def test_on_a_daemonset_only_cluster_checks_run_once(command: Command, tree: Callable[..., Path]) -> None:
    path = tree(GOOD)
    ((level, _, option, text),) = findings(command("validate", "--daemonset", path, "--format", "json"))
    assert (level, option) == ("warning", "cluster_check")
    assert "every node submits the same series" in text
    path = tree(GOOD, cluster_check=True)
    assert findings(command("validate", "--daemonset", path, "--format", "json")) == []


@pytest.mark.parametrize(
    ("source", "warned"),
    [("/var/health.json", True), ("s3://bucket/key.json", False), ("https://host/health.json", False)],
)
@pytest.mark.parametrize("folder", ["metta_training.d", "metta_eval.d"])
def test_a_cluster_check_has_no_local_files(
    command: Command, tree: Callable[..., Path], folder: str, source: str, warned: bool
) -> None:
    path = tree({**HEALTH, "source": source}, folder=folder, cluster_check=True)
    options = [option for _, _, option, _ in findings(command("validate", path, "--format", "json"))]
    assert options == (["source"] if warned else [])


def test_the_same_project_twice_in_one_tree(command: Command, tree: Callable[..., Path]) -> None:
    first = tree(GOOD, {**GOOD, "project": "other"})
    tree({**GOOD, "max_runs": 5}, name="more.yaml")
    result = command("validate", first.parents[1], "--format", "json")
    ((level, number, _, text),) = findings(result)
    assert (level, number) == ("warning", 1)
    assert text.startswith(f"it watches the same as instance 1 of {first}")


@pytest.mark.parametrize("folder", ["metta_training.d", "metta_eval.d"])
@pytest.mark.parametrize(
    ("first", "second", "top", "warned"),
    [
        ({}, {}, {}, True),
        ({"tags": ["env:prod", "team:a"]}, {"tags": ["Team:A", "env:prod", "env:prod"]}, {}, True),
        ({"service": "a"}, {}, {"init_config": {"service": "a"}}, True),
        ({"tags": ["env:prod", "suite:a"]}, {"tags": ["env:prod", "suite:b"]}, {}, False),
        ({"tags": ["env:prod", "suite:a"]}, {}, {}, False),
        ({"service": "a"}, {"service": "b"}, {}, False),
        ({"service": "a"}, {}, {}, False),
    ],
)
def test_two_instances_whose_outages_are_one_series(
    command: Command,
    tree: Callable[..., Path],
    folder: str,
    first: dict[str, Any],
    second: dict[str, Any],
    top: dict[str, Any],
    warned: bool,
) -> None:
    path = tree({**HEALTH, **first}, {**HEALTH, "source": "s3://bucket/other.json", **second}, folder=folder, **top)
    found = findings(command("validate", path, "--format", "json"))
    told = (
        "the same as those of instance 1: both submit the same series of `metta.check.up` and `data_missing`, "
        "so that one hides the other's outage; give each a tag of its own"
    )
    assert found == ([("warning", 2, "tags", told)] if warned else [])


def test_what_tells_instances_apart_beside_their_tags(command: Command, tree: Callable[..., Path]) -> None:
    """The check, and what W&B and GitHub instances watch. Two servers may have a project of the same name."""
    tree(HEALTH, folder="metta_training.d")
    tree({**HEALTH, "source": "s3://bucket/other.json"}, folder="metta_eval.d")
    tree(CI, {**CI, "branch": "release"}, folder="metta_ci.d")
    path = tree(GOOD, {**GOOD, "project": "other"})
    assert findings(command("validate", path.parents[1], "--format", "json")) == []
    path = tree(GOOD, {**GOOD, "base_url": "https://wandb.example.com", "api_key": "ENC[a;b]"})
    ((level, number, option, text),) = findings(command("validate", path, "--format", "json"))
    assert (level, number, option) == ("warning", 2, "tags")
    assert text.startswith("the same as those of instance 1: both submit the same series of `metta.check.up`, ")


@pytest.mark.parametrize("source", ["s3://bucket/key.json", "s3://bucket/other.json"])
def test_of_the_same_source_twice_only_that_is_told(command: Command, tree: Callable[..., Path], source: str) -> None:
    first = tree(HEALTH, folder="metta_eval.d")
    tree({**HEALTH, "source": source}, folder="metta_eval.d", name="more.yaml")
    ((_, number, option, text),) = findings(command("validate", first.parents[1], "--format", "json"))
    same = source == HEALTH["source"]
    assert (number, option) == (1, None if same else "tags")
    assert text.startswith(f"it watches the same as instance 1 of {first}" if same else "the same as those of instance")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("metta_wandbb.d", "the folder has to be called metta_wandb.d"),
        ("wandb.d", "the folder has to be called metta_wandb.d"),
        ("metta-ci.d", "the folder has to be called metta_ci.d"),
        ("metta_gpu.d", "there is no check `metta_gpu`; the folders are metta_wandb.d"),
        ("redisdb.d", None),
    ],
)
def test_the_folder_names_the_check(command: Command, tree: Callable[..., Path], folder: str, said: str | None) -> None:
    root = tree(GOOD).parents[1]
    tree(GOOD, folder=folder)
    result = command("validate", root)
    assert result.exit_code == (1 if said else 0)
    assert said is None or said in " ".join(result.stdout.split())


def test_what_is_read_of_a_whole_agent_folder(command: Command, tree: Callable[..., Path]) -> None:
    """As the Agent does: *.yaml, *.yml and *.default of the checks' folders, and files named after a check."""
    root = tree(GOOD).parents[2]
    tree({**GOOD, "project": "b"}, name="b.yml")
    tree({**GOOD, "project": "c"}, name="conf.yaml.default")
    tree({"nonsense": 1}, name="conf.yaml.example")
    tree({**GOOD, "project": "d"}, folder=".", name="metta_wandb.yaml")
    tree({"nonsense": 1}, folder=".", name="other.yaml")
    result = command("validate", root, "--format", "json")
    names = {Path(name).name for name in json.loads(result.stdout)["files"]}
    assert names == {"conf.yaml", "b.yml", "conf.yaml.default", "metta_wandb.yaml"}
    assert [text for *_, text in findings(result) if "rename it to .yaml" in text]
    assert result.exit_code == 0


def test_a_file_whose_place_does_not_tell(command: Command, tree: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    tree(GOOD).rename(path)
    result = command("validate", path)
    assert result.exit_code == 1
    assert "name the check with --check" in " ".join(result.stdout.split())
    assert command("validate", "--check", "wandb", path).exit_code == 0


RECORD = {"metric": "hearts", "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0.5", "value": 0.9}


@pytest.mark.parametrize(
    ("document", "status", "said"),
    [
        ([RECORD], 0, "1 file: 0 faults, 0 warnings"),
        ({"records": [RECORD]}, 0, "1 file: 0 faults, 0 warnings"),
        ([RECORD, {**RECORD, "value": "high"}], 1, "fault: record 2: value:"),
        ([{**RECORD, "timestamp": "2999-01-01T00:00:00Z"}], 1, "fault: record 1: timestamp:"),
        ([RECORD, {**RECORD, "condition": "about 5"}], 1, "fault: record 2: condition:"),
        ([RECORD, {**RECORD, "staus": "fail"}], 1, "fault: record 2: staus: it is no field"),
        ([{**RECORD, "status": "fail"}], 0, "warning: record 1: status:"),
        ("records", 1, "fault: "),
    ],
)
def test_health_records(command: Command, tmp_path: Path, document: Any, status: int, said: str) -> None:
    path = tmp_path / "training.json"
    path.write_text(json.dumps(document))
    result = command("validate", path)
    assert result.exit_code == status
    assert said in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'PATH...'"),
        (["/no/such/file"], "does not exist"),
        (["--check", "wand", "."], "there is no check 'wand'"),
        (["{empty}"], "there is no configuration of these checks and no file of health records"),
    ],
)
def test_refusals(command: Command, tmp_path: Path, arguments: list[str], said: str) -> None:
    result = command("validate", *(text.format(empty=tmp_path) for text in arguments))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())

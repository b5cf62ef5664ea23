"""Slips of operators in configurations, and the words in which `validate` reports them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
Validated = Callable[..., list[str]]

TOP = "init_config:\ninstances:\n- "


def of(check: str, *lines: str) -> tuple[str, str]:
    return TOP + "\n  ".join(lines) + "\n", f"metta_{check}.d"


@pytest.mark.parametrize(
    ("written", "number"),
    [("240s", 240), ("4m", 240), ("10m", 600), ("'2 m'", 120), ("1h", 3600), ("soon", 120)],
)
def test_an_interval_that_is_a_duration_is_converted(validated: Validated, written: str, number: int) -> None:
    lines = ("entity: team", "project: arena", f"min_collection_interval: {written}")
    (fault,) = validated(*of("wandb", *lines))
    assert f"write a whole number without quotes, `min_collection_interval: {number}`" in fault


@pytest.mark.parametrize(("written", "number"), [("4m", 240), ("240s", 240)])
def test_the_interval_of_another_check(validated: Validated, written: str, number: int) -> None:
    (fault,) = validated(*of("ci", "repo: a/b", f"min_collection_interval: {written}"))
    assert f"write a whole number without quotes, `min_collection_interval: {number}`" in fault


@pytest.mark.parametrize("written", ["s3//bucket/training/", "S3//bucket/training/", "s3///bucket/training/"])
def test_an_address_without_its_colon(validated: Validated, written: str) -> None:
    (fault,) = validated(*of("training", f"source: {written}"))
    assert fault.endswith("is not an address that the check can read: did you mean s3://bucket/training/?")


@pytest.mark.parametrize(
    ("source", "warned"),
    [
        ("s3://bucket/training", True),
        ("s3://bucket/a/results.txt", True),
        ("s3://bucket/training/", False),
        ("s3://bucket/training.json", False),
        ("/var/lib/training", False),
    ],
)
def test_a_key_that_has_the_form_of_a_folder(command: Command, tmp_path: Path, source: str, warned: bool) -> None:
    path = tmp_path / "metta_training.d" / "conf.yaml"
    path.parent.mkdir()
    path.write_text(of("training", f"source: {source}")[0])
    found = json.loads(command("validate", path, "--format", "json").stdout)["findings"]
    texts = [one["text"] for one in found if one["option"] == "source" and one["level"] == "warning"]
    assert texts == ["is one object, without the ending .json: for a folder of documents end it with `/`"] * warned


def test_a_run_with_faults_counts_the_file_that_cannot_be_placed(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TOP + "entity: team\n")
    result = command("validate", path)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "1 file: 1 fault, 0 warnings")
    assert "its folder and name do not tell which check it is for" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("check", "lines", "faults"),
    [
        ("wandb", ("entity: team", "projcts: {include: [a]}"), ["projcts 4: there is no such option; did you mean"]),
        ("wandb", ("entity: team", "projekt: a"), ["projekt 4: there is no such option; did you mean"]),
        ("ci", ("organisation: team", "repos: {include: [a]}"), ["organisation 3: there is no such option; did you"]),
        ("ci", ("organization: team", "repo_s: {include: [a]}"), ["repo_s 4: there is no such option; did you mean"]),
        (
            "ci",
            ("organization: team", "repos: {include: [a]}", "repo: a/b"),
            ["organization 3: is set beside `repo`: give one repository or an organization, not both"],
        ),
        (
            "wandb",
            ("entity: team", "projects:", "include: [a]", "limit: 5"),
            [f"{key} {n}: belongs under `projects`: indent it" for key, n in (("include", 5), ("limit", 6))],
        ),
        ("ci", ("organization: a", "repos:", "include: [a]"), ["include 5: belongs under `repos`: indent it by two"]),
        ("wandb", ("entity: team", "tagz: [a]"), ["tagz 4: there is no such option", "project None: is not set"]),
    ],
)
def test_a_slip_is_reported_once(validated: Validated, check: str, lines: tuple[str, ...], faults: list[str]) -> None:
    found = validated(*of(check, *lines))
    assert len(found) == len(faults), found
    assert [fault for fault in faults if not any(one.startswith(fault) for one in found)] == [], found


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (("repo: a/b", "app_id: 1", "collection_timeout: 0"), {"app_installation_id", "collection_timeout"}),
        (
            ("repo: a/b", "app_id: 1", "app_private_key: /etc/key.pem", "collection_timeout: 0"),
            {"app_private_key", "app_installation_id", "collection_timeout"},
        ),
        (("repo: a", "app_installation_id: 2", "window: soon"), {"repo", "app_id", "window"}),
    ],
)
def test_the_faults_of_an_app_are_reported_with_the_others(
    validated: Validated, lines: tuple[str, ...], options: set[str]
) -> None:
    assert {one.split(" ")[0] for one in validated(*of("ci", *lines))} == options


@pytest.mark.parametrize("path", ["/etc/key.pem", "~/key.pem", "keys/app.private-key.pem", "file:///etc/key.pem"])
def test_a_path_in_the_place_of_a_key(validated: Validated, path: str) -> None:
    lines = ("repo: a/b", "app_id: 1", "app_installation_id: 2", f"app_private_key: {path}")
    (fault,) = validated(*of("ci", *lines))
    assert fault.startswith("app_private_key 6: is a path, and this option takes the text of the key (PEM)")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("clusterAgent:\n  advancedConfd:\n    metta_wandb.d: {a.yaml: x}\n", "clusterAgent.advancedConfd"),
        ("clusterAgent:\n  confd:\n    metta_ci.yaml: x\n", "clusterAgent.confd"),
        ("datadog:\n  confd:\n    metta_ci.yaml: x\n", "datadog.confd"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--check", "wandb"]])
def test_a_file_of_helm_values(command: Command, tmp_path: Path, text: str, key: str, arguments: list[str]) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    result = command("validate", path, *arguments, "--format", "json")
    (found,) = json.loads(result.stdout)["findings"]
    assert (result.exit_code, found["level"]) == (1, "fault")
    assert found["text"].startswith(f"is a file of Helm values: validate the files under `{key}`")


def test_install_names_how_to_make_the_folder(command: Command, tmp_path: Path) -> None:
    result = command("install", "--agent-dir", tmp_path / "agent")
    assert result.exit_code == 2
    assert f"create it with `mkdir -p {tmp_path}/agent`" in "".join(result.stderr.split("\n"))


def test_install_keeps_to_what_is_installed(command: Command, tmp_path: Path) -> None:
    def shims() -> set[str]:
        return {path.stem for path in (tmp_path / "checks.d").glob("*.py")}

    command("install", "--checks", "wandb", "--agent-dir", tmp_path)
    checked = command("install", "--check", "--agent-dir", tmp_path)
    assert (checked.exit_code, checked.stdout) == (0, "metta_wandb: ok\n")
    assert command("install", "--agent-dir", tmp_path).exit_code == 0
    assert shims() == {"metta_wandb"}
    # A check that is configured and not installed is a fault.
    conf = tmp_path / "conf.d" / "metta_ci.d" / "conf.yaml"
    conf.parent.mkdir()
    conf.write_text("instances: [{repo: a/b}]\n")
    assert command("install", "--check", "--agent-dir", tmp_path).exit_code == 1
    assert command("install", "--check", "--checks", "wandb", "--agent-dir", tmp_path).exit_code == 0
    command("install", "--agent-dir", tmp_path)
    assert shims() == {"metta_wandb", "metta_ci"}
    command("install", "--checks", "all", "--agent-dir", tmp_path)
    assert shims() == {"metta_wandb", "metta_ci", "metta_training", "metta_eval"}


def test_install_check_of_an_empty_folder_fails(command: Command, tmp_path: Path) -> None:
    assert command("install", "--check", "--agent-dir", tmp_path).exit_code == 1

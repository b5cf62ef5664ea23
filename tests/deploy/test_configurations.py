"""The check configurations inside the manifests: what the checks themselves say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_support.manifests import KUBERNETES, Embedded, documents, embedded, values

from metta_checks.board.contract import interval_of
from metta_checks.checks import CHECKS, find_check
from metta_checks.ci.check import CiCheck
from metta_checks.cli.agent_config import read_agent_config
from metta_checks.core import MettaCheck
from metta_checks.wandb.check import WandbCheck

INTERVALS = {definition.name: interval_of(definition) for definition in CHECKS}
"""Seconds between collections, as the examples have it."""

ALL = list(embedded())
CLUSTER = [one for one in ALL if one.is_cluster_check]

every_configuration = pytest.mark.parametrize("configuration", ALL, ids=lambda one: one.place)
every_cluster_check = pytest.mark.parametrize("configuration", CLUSTER, ids=lambda one: one.place)


@pytest.fixture(autouse=True)
def environment(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pod's Agent and the injected one find there; the two say the same."""
    (given,) = (one["data"] for one in documents(KUBERNETES / "pod" / "environment.yaml") if one["kind"] == "ConfigMap")
    injection = values("sidecar.yaml")["clusterAgent"]["admissionController"]["agentSidecarInjection"]
    injected = {one["name"]: one["value"] for one in injection["profiles"][0]["env"] if "value" in one}
    for name in ("WANDB_ENTITY", "WANDB_PROJECT", "GITHUB_REPOSITORY", "DD_ENV", "DD_SERVICE", "DD_VERSION"):
        assert given[name] == injected[name]
        monkeypatch.setenv(name, given[name])


def checks_of(configuration: Embedded, folder: Path) -> list[MettaCheck]:
    """The checks that the Agent makes of a file, their options loaded. Raises for what they do not take."""
    path = folder / "conf.yaml"
    path.write_text(configuration.text, encoding="utf-8")
    config = read_agent_config(path)
    made = []
    for instance in config.instances:
        check = find_check(configuration.check).check_class()(configuration.check, config.init_config, [instance])
        check.load_options()
        made.append(check)
    return made


def test_the_same_checks_are_configured_in_every_way_of_running() -> None:
    ways = ("cluster-checks.yaml", "sidecar.yaml: metta", "datadog-agent.yaml")
    configured = {frozenset(one.check for one in ALL if one.place.startswith(way)) for way in ways}
    (names,) = configured
    assert {"metta_wandb", "metta_ci", "metta_training", "metta_eval"} <= names <= set(INTERVALS)


def test_every_interval_is_shorter_than_the_gap_that_datadog_draws_over() -> None:
    assert all(seconds < 300 for seconds in INTERVALS.values())


@every_configuration
def test_the_check_takes_it_and_knows_each_option(configuration: Embedded, tmp_path: Path) -> None:
    for check in checks_of(configuration, tmp_path):
        assert set(check.instance) <= set(type(check.config).model_fields)


@every_configuration
def test_what_the_agent_reads_from_the_file_is_in_it(configuration: Embedded) -> None:
    assert set(configuration.document) <= {"init_config", "instances", "cluster_check"}
    for instance in configuration.document["instances"]:
        assert instance["min_collection_interval"] == INTERVALS[configuration.check]
        assert instance["empty_default_hostname"] is True


@every_configuration
def test_every_series_says_where_it_belongs(configuration: Embedded, tmp_path: Path) -> None:
    for check in checks_of(configuration, tmp_path):
        assert {"env", "team"} <= {tag.partition(":")[0] for tag in check.instance_tags}


@every_cluster_check
def test_a_cluster_check_is_one_instance_per_file(configuration: Embedded) -> None:
    assert len(configuration.document["instances"]) == 1


@every_cluster_check
def test_a_cluster_check_says_all_by_itself(configuration: Embedded, tmp_path: Path, monkeypatch: Any) -> None:
    """It may be on any runner: no local file, and nothing from the environment but credentials and the region."""
    for name in ("WANDB_ENTITY", "WANDB_PROJECT", "GITHUB_REPOSITORY", "DD_ENV", "DD_SERVICE", "DD_VERSION"):
        monkeypatch.delenv(name)
    (check,) = checks_of(configuration, tmp_path)
    assert check.targets() or check.discovers
    source = check.instance.get("source", "s3://none")
    assert source.startswith(("s3://", "https://"))
    assert {tag.partition(":")[0] for tag in check.instance_tags} >= {"env", "team"}


@pytest.mark.parametrize("files", [("cluster-checks.yaml", "growth.yaml"), ("datadog-agent.yaml",)], ids=str)
def test_no_two_cluster_checks_watch_the_same(files: tuple[str, ...], tmp_path: Path) -> None:
    placed = [one for one in CLUSTER if one.place.partition(":")[0] in files]
    checks = [check for one in placed for check in checks_of(one, tmp_path)]
    assert {check.name for check in checks} >= {"metta_wandb", "metta_ci"}
    watched = [target.key for check in checks for target in check.targets()]
    assert len(set(watched)) == len(watched)
    # Helm would replace the one by the other.
    names = [one.place.partition(": ")[2] for one in placed]
    assert len(set(names)) == len(names)


NAMES = ("arena", "arena-2", "navigation", "my-project", "my-repository", "scratch-1", "arenas", "old.arena", "Arena")
"""Names of projects and repositories that the files' patterns could mean."""


@pytest.mark.parametrize(
    ("owner", "ignored", "several"),
    [("my-team", {"scratch-1"}, set()), ("my-org", set(), {"arena", "Arena"})],
    ids=["W&B", "GitHub"],
)
def test_each_name_is_watched_by_one_file(owner: str, ignored: set[str], several: set[str], tmp_path: Path) -> None:
    """Patterns of several files are disjoint: each file excludes what the others include. A branch is a second file."""
    watchers: dict[str, list[str]] = {name: [] for name in NAMES}
    for one in CLUSTER:
        for check in checks_of(one, tmp_path) if one.place.startswith(("cluster-checks", "growth")) else ():
            for name in NAMES:
                watchers[name] += [one.place] if watches(check, owner, name) else []
    assert {name: len(files) for name, files in watchers.items()} == {
        name: 2 if name in several else int(name not in ignored) for name in NAMES
    }


def watches(check: MettaCheck, owner: str, name: str) -> bool:
    if isinstance(check, WandbCheck):
        wandb = check.settings
        given, selection = f"{wandb.entity}/{check.config.project}", wandb.projects
        return given == f"{owner}/{name}" or (
            wandb.entity == owner and selection is not None and selection.matches(name)
        )
    if isinstance(check, CiCheck):
        # GitHub's names are the same in any case.
        ci = check.settings
        if ci.repos is not None:
            return ci.organization == owner and ci.repos.matches(name)
        return str(check.config.repo).casefold() == f"{owner}/{name}".casefold()
    return False


def test_only_what_the_cluster_agent_hands_out_is_a_cluster_check() -> None:
    handed_out = {"cluster-checks.yaml", "growth.yaml", "datadog-agent.yaml"}
    assert {one.place.partition(":")[0] for one in CLUSTER} == handed_out
    assert [one.place for one in ALL if one.place.partition(":")[0] in handed_out and one not in CLUSTER] == []


def test_file_names_are_those_of_checks() -> None:
    for one in ALL:
        assert one.check in INTERVALS, one.place
        assert yaml.safe_load(one.text)["instances"], one.place

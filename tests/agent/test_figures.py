"""What arrives at the intake is what `metta-checks collect` shows: every series, type, tag, host and value."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_support.agent import Agent
from agent_support.collected import collected, differences, series_of
from agent_support.intake import Intake
from simulator_support.wandb_projects import bulk_project

from metta_checks.core.clock import utcnow
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository
from metta_checks.simulator.github_sample import a_day, add_runs, new_repository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.health import write_sample_records
from metta_checks.simulator.sandbox import DEMO_TOKEN, DemoSandbox
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

MakeAgent = Callable[..., Agent]
Instances = Mapping[str, Sequence[Mapping[str, Any]]]
"""By the name of the check."""

EACH = 8
COMMON = {"min_collection_interval": 5, "empty_default_hostname": True, "skip_proxy": True}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_series_arrives_as_collect_shows_it(
    make_agent: MakeAgent, intake: Intake, demo: DemoSandbox, version: str
) -> None:
    agent = make_agent(use_v2_api={"series": version == "v2"})
    received = held(agent, intake, {f"metta_{slug}": [{**one, **COMMON}] for slug, one in demo.instances.items()})
    assert received > 500
    assert {path for path in intake.paths if "series" in path} == {f"/api/{version}/series"}


def test_eight_instances_of_each_check_on_four_workers(make_agent: MakeAgent, intake: Intake, tmp_path: Path) -> None:
    agent = make_agent(check_runners=4)
    with fleet(tmp_path / "health") as instances:
        received = held(agent, intake, instances)
    assert received > 1_000


def test_the_projects_of_an_entity_and_the_repositories_of_an_organisation(
    make_agent: MakeAgent, intake: Intake
) -> None:
    names = ("metta", "metta-arena", "metta-scratch", "other")
    selection = {"include": ["metta.*"], "exclude": [".*-scratch"]}
    projects = [bulk_project(now(), runs=40, keys=4, seed=n, name=name) for n, name in enumerate(names)]
    repositories = [repository_of(f"demo-org/{name}", n) for n, name in enumerate(names)]
    with WandbServer(*projects) as wandb, GitHubServer(repositories, token=DEMO_TOKEN, clock=utcnow) as github:
        of_wandb = {"entity": projects[0].entity, "base_url": wandb.url, "api_key": DEMO_API_KEY}
        of_github = {"organization": "demo-org", "api_url": github.url, "token": DEMO_TOKEN}
        held(
            make_agent(),
            intake,
            {
                "metta_wandb": [{**COMMON, **of_wandb, "projects": selection}],
                "metta_ci": [{**COMMON, **of_github, "repos": selection}],
            },
        )
    watched = {tag for point in intake.points for tag in point.tags if tag.startswith(("wandb_project:", "repo:"))}
    expected = {f"wandb_project:{name}" for name in names[:2]} | {f"repo:demo-org/{name}" for name in names[:2]}
    assert watched == expected


def repository_of(full_name: str, seed: int) -> DemoRepository:
    """Two days of runs. Nothing lies on the edge of a window, where the seconds of a test would move a figure."""
    repository, roles = new_repository(full_name, 10, utcnow, FIRST_REPOSITORY_ID + seed)
    rng, end = random.Random(seed), now()
    for day in range(2):
        add_runs(repository, list(a_day(rng, end - timedelta(days=day), end, roles.busy, 20)))
    return repository


def held(agent: Agent, intake: Intake, instances: Instances) -> int:
    """Three collections of every instance, none of which differs from `collect`. Returns the number of series."""
    configs = [agent.configure(check, several) for check, several in instances.items()]
    before = collected(configs)
    agent.start()
    instances_up = [series for series in before if series[0] == "metta.check.duration_seconds"]
    assert len(instances_up) == sum(map(len, instances.values()))

    def collected_thrice() -> bool:
        seen = Counter(map(series_of, intake.points))
        return all(seen[series] >= 3 for series in instances_up)

    assert intake.wait_for(collected_thrice, 180), agent.log[-4000:]
    points = [point for point in list(intake.points) if point.kind == "gauge"]
    assert agent.stop() == 0
    assert {series_of(point) for point in points} == set(before)
    assert differences(points, before, collected(configs)) == []
    # A gauge is one value in an interval of the Agent's flush.
    assert max(Counter((series_of(point), point.timestamp) for point in points).values()) == 1
    return len(before)


@contextmanager
def fleet(folder: Path) -> Iterator[Instances]:
    """Eight W&B projects, eight repositories, and eight files of results for each of the other two."""
    projects = [bulk_project(now(), runs=30, keys=4, seed=n, name=f"p{n}") for n in range(EACH)]
    repositories = [repository_of(f"demo-org/r{n}", n) for n in range(EACH)]
    files: dict[str, list[Path]] = {"training": [], "eval": []}
    for number in range(EACH):
        (folder / str(number)).mkdir(parents=True)
        for slug, path in write_sample_records(folder / str(number), now()).items():
            files[slug].append(path)
    with WandbServer(*projects) as wandb, GitHubServer(repositories, token=DEMO_TOKEN, clock=utcnow) as github:
        of_wandb = {**COMMON, "entity": projects[0].entity, "base_url": wandb.url, "api_key": DEMO_API_KEY}
        of_github = {**COMMON, "api_url": github.url, "token": DEMO_TOKEN}
        yield {
            "metta_wandb": [{**of_wandb, "project": project.name} for project in projects],
            "metta_ci": [{**of_github, "repo": repository.full_name} for repository in repositories],
            **{
                f"metta_{slug}": [
                    {**COMMON, "source": str(path), "tags": [f"part:{n}"]} for n, path in enumerate(paths)
                ]
                for slug, paths in files.items()
            },
        }


def now() -> datetime:
    return datetime.now(UTC)

"""What GitHub sends and the demo does not: forks that are gone, generated workflows, paths with a ref."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ci_support.scene import NOW, Collected, Scene
from datadog_checks.base.stubs import datadog_agent

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_refusals import JSON_HEADERS
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.server import Reply

PAGE = Path(__file__).parent / "fixtures/GET/repos/demo-org/arena/actions/runs/response.json"


@pytest.fixture
def collected(aggregator) -> Iterator[Collected]:
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    repository.add_workflow("CI", ".github/workflows/ci.yml")
    repository.add_workflow("CodeQL", "dynamic/github-code-scanning/codeql")
    page = Reply(200, PAGE.read_bytes(), {**JSON_HEADERS, "ETag": 'W/"fixture"'})
    with Scene(repository, aggregator, tests_blocking_merge_workflows=["codeql"]) as scene:
        scene.server.intercept = lambda request: page if request.path.endswith("/actions/runs") else None
        yield scene.collect()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # The failure whose fork is gone does not count, the one that waits for an approval has not ended.
        (("ci.workflow.success_ratio", "", ""), 2 / 3),
        (("ci.workflow.runs", "ci.yml", "failure"), 1),
        (("ci.workflow.runs", "ci.yml", "success"), 1),
        (("ci.workflow.runs", "ci.yml", "action_required"), 1),
        (("ci.workflow.runs", "dynamic/github-code-scanning/codeql", "success"), 1),
        # The latest decisive one of ci.yml is the failure, whatever the zone its time is told in.
        (("ci.workflow.latest_success", "ci.yml", ""), 0),
        (("ci.workflow.tests_blocking_merge", "", ""), 1),
        # Of 2, 4 and 10 minutes; without a start of the attempt the creation stands in.
        (("ci.workflow.duration.p50", "", ""), 4),
        (("ci.workflow.duration.p90", "", ""), 8.8),
    ],
)
def test_it_is_read_as_it_is_meant(collected, key, value):
    assert collected.error is None
    assert collected.figures.gauges[key] == pytest.approx(value)


LONE = [rb"\ud800", rb"\uDFFF", rb"\ud83d\ud83d\ude00", b"\xed\xa0\x80"]
"""Halves of surrogate pairs, which JSON can hold and no text can: escaped, beside a whole pair, and encoded."""

TEXTS = re.compile(rb'"(?:display_title|path|message|login)":"|"name":"(?=[A-Z])(?!Hotfix)')
"""What people write; the branch and the labels keep their names."""


@pytest.mark.parametrize("options", [{}, {"token": None}], ids=["with a token", "without"])
@pytest.mark.parametrize("half", LONE, ids=repr)
def test_half_a_character_in_a_text_is_no_reason_to_have_no_figures(
    scene: Callable[..., Scene], half: bytes, options: dict[str, None]
) -> None:
    """In every answer: the listing, the workflows, attempts, GraphQL's, and a quiet workflow's runs."""
    watched = scene(10, 20, **options)
    plain = watched.server.answer

    def answer(request):
        response = plain(request)
        body = TEXTS.sub(lambda found: found[0] + half, response.body)
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
        return replace(response, body=body, headers=headers)

    expected = watched.collect().figures.gauges
    watched.server.answer = answer
    datadog_agent._cache.clear()
    watched.restart()

    collected = watched.collect()

    assert collected.error is None
    judged = {key: value for key, value in collected.figures.gauges.items() if key[1] == ""}
    assert judged == pytest.approx({key: value for key, value in expected.items() if key[1] == ""})
    for _, tags in collected.series:
        assert all(text.encode() for text in tags)

"""The frame of events: what a source calls things stays a word in it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

HOSTILE = {
    "a link": "[click](https://evil.example/)",
    "a script": "[click](javascript:alert(1))",
    "the end of a label": "x](https://evil.example/) [y",
    "an image": "![x](https://evil.example/pixel.png)",
    "a reference": "[x][1]\n\n[1]: https://evil.example/",
    "an address in brackets": "<https://evil.example/>",
    "HTML": "<img src=x onerror=alert(1)>",
    "a mention": "@all-hands @slack-general @me@example.com",
    "a mention in brackets": "(@pagerduty)",
    "the end of the frame": "x\n %%% \n[y](https://evil.example/)",
    "the end of the frame in a line": "%%%%%% [y](https://evil.example/)",
    "the end of code": "x` [y](https://evil.example/) `@all",
    "emphasis": "**x** __y__ ~~z~~",
    "a heading": "\n# x\n",
    "an escape": "\\[x\\](https://evil.example/)",
    "an address": "see https://evil.example/x and www.evil.example",
    "escape sequences": "\x1b[31m\u202e",
}

# A link that is not behind a backslash; one address each.
LINKS = re.compile(r"(?<!\\)\]\(([^)]*)\)")


def assert_harmless(event: dict[str, Any], servers: tuple[str, ...]) -> None:
    title, text = event["msg_title"], event["msg_text"]
    assert "@" not in title + text
    assert title.isprintable()
    assert (text.startswith("%%% \n"), text.endswith("\n %%%"), text.count("%%%")) == (True, True, 2)
    assert len(text) <= 4_000
    assert len(event["aggregation_key"]) <= 100
    assert event["aggregation_key"].isprintable()
    assert all(address.startswith(servers) for address in LINKS.findall(text))
    # Neither markup nor an address that is shown as a link, beside our own: what is behind a backslash is a word.
    plain = LINKS.sub("]", re.sub(r"\\.", "", re.sub(r"`[^`]*`", "", text)))
    assert not re.search(r"[<*~]|__|https?://|www\.", plain.replace("%%%", ""))
    assert all(line.isprintable() for line in text.split("\n"))


def failed_run(aggregator: AggregatorStub, **fields: Any) -> tuple[dict[str, Any], str]:
    """The event of a run of W&B's, and the address of its server."""
    project = DemoProject("team", "arena")
    moment = [NOW]
    with WandbServer(project) as server:
        options = {"entity": "team", "project": "arena", "base_url": server.url, "api_key": DEMO_API_KEY}
        instance = {**options, "events": True, "metrics": ["*"], "tls_verify": False}
        check = WandbCheck("metta_wandb", {}, [instance])
        check.clock = lambda: moment[0]
        run_id = fields.pop("run_id", "run")
        project.start(run_id, NOW - timedelta(hours=1), heartbeat_at=NOW, **fields)
        assert check.run() == ""
        moment[0] += timedelta(minutes=2)
        project.fail(run_id, moment[0])
        assert check.run() == ""
        (event,) = aggregator.events
        return event, server.url


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("field", ["display_name", "run_id", "summary"])
def test_what_a_run_is_called(aggregator: AggregatorStub, field: str, text: str) -> None:
    event, url = failed_run(aggregator, **{field: {text: 1.5} if field == "summary" else text})
    assert_harmless(event, (url,))


def test_an_event_is_cut_between_its_paragraphs(aggregator: AggregatorStub) -> None:
    summary = {f"{'[x](y)' * 30}{number}": 1.0 for number in range(30)}
    event, url = failed_run(aggregator, display_name="`" * 600, run_id="r" * 300, summary=summary)
    assert_harmless(event, (url,))
    assert len(event["msg_text"]) > 3_000
    assert event["msg_text"].removesuffix("\n %%%").endswith(": 1")


def test_long_ids_do_not_share_an_event(aggregator: AggregatorStub) -> None:
    keys = set()
    for end in "ab":
        aggregator.reset()
        keys.add(failed_run(aggregator, run_id="r" * 120 + end)[0]["aggregation_key"])
    assert len(keys) == 2
    assert {len(key) for key in keys} == {100}


def flipped(aggregator: AggregatorStub, replaced: dict[str, str], **options: Any) -> dict[str, Any]:
    """The event of a listed workflow that begins to fail, where GitHub's answers have other texts in them."""
    repository = edge_case_repository(NOW, workflows=12, runs_per_day=12, days=2, seed=7)
    lint = next(one for one in repository.workflows if one.path.endswith("/lint.yml"))
    repository.new_run(lint.id, conclusion="success")
    with GitHubServer(repository, token="t" * 40) as server:

        def replace(request: Request) -> Reply:
            answer = server.answer(request)
            body = answer.body.decode()
            for text, other in replaced.items():
                body = body.replace(text, json.dumps(other)[1:-1])
            return Reply(answer.status, body.encode(), answer.headers)

        server.intercept = replace
        loose = {"ci.workflow.success": ">= 0", "ci.workflow.other_failing": "< 100"}
        given = {"repo": repository.full_name, "api_url": server.url, "token": "t" * 40, "conditions": loose}
        listed = {"tests_blocking_merge_workflows": [lint.name], "benchmarks_workflows": []}
        check = CiCheck("metta_ci", {}, [{**given, **listed, "events": True, **options}])
        check.clock = repository.clock
        for conclusion in ("success", "failure"):
            repository.clock.advance(timedelta(minutes=4))
            repository.new_run(lint.id, conclusion=conclusion, duration=timedelta(0))
            aggregator.reset()
            assert check.run() == ""
        events = [event for event in aggregator.events if "tests_blocking_merge" in event["msg_title"]]
        return events[0]


PUBLIC = ("https://github.com/",)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_a_workflow_file_is_called(aggregator: AggregatorStub, text: str) -> None:
    # A slash ends the name of a folder, an at sign that of a file.
    name = text.replace("/", "|")
    listed = {".github/workflows/lint.yml": f".github/workflows/{name}"}
    in_the_tree = {"lint.yml": name}
    event = flipped(aggregator, {**listed, **in_the_tree})
    assert_harmless(event, PUBLIC)
    assert len(LINKS.findall(event["msg_text"])) >= 1


ADDRESSES = {
    "javascript:alert(1)": None,
    "JavaScript:alert(1)": None,
    "data:text/html,<script>": None,
    "vbscript:x": None,
    "file:///etc/passwd": None,
    "//evil.example": None,
    "https://me:secret@github.com/org/name": None,
    "https://git hub.com/org/name": None,
    "https://[::1/org/name": None,
    "https://github.com/org/na)me [x](javascript:alert(1)": "https://github.com/org/na%29me%20%5Bx%5D%28javascript:alert%281%29",
    "https://github.com/org/@all": "https://github.com/org/%40all",
    "https://github.com/org/a%20b": "https://github.com/org/a%20b",
    "https://github.com/org/%%%": "https://github.com/org/% % %",
    "https://git.example:8443/org/name": "https://git.example:8443/org/name",
    "http://[::1]:8080/org/name": "http://[::1]:8080/org/name",
}


@pytest.mark.parametrize(("html_url", "shown"), ADDRESSES.items())
def test_where_a_link_leads(aggregator: AggregatorStub, html_url: str, shown: str | None) -> None:
    event = flipped(aggregator, {"https://github.com/demo-org/arena": html_url})
    addresses = LINKS.findall(event["msg_text"])
    assert {address.partition("/actions/runs/")[0] for address in addresses} == ({shown} if shown else set())
    assert_harmless(event, ("https://", "http://[::1]:8080/"))

"""A run that fails is an event where the instance wants events: once, with a way to look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from wandb_support.watch import START, Watch, a_summary

from metta_checks.simulator.wandb_project import RunState
from metta_checks.wandb.metrics import run_url
from metta_checks.wandb.models import ProjectPath

Watches = Callable[..., Watch]


def a_run(watch: Watch, **fields: object) -> None:
    given: dict[str, object] = {"display_name": "github.sky.main", "summary": a_summary(reward=7.5, sps=300.0)}
    watch.project.start("run", START - timedelta(minutes=90), **{**given, **fields})


@pytest.mark.parametrize(
    ("state", "events"),
    [
        ("running", 0),
        ("pending", 0),
        ("preempting", 0),
        ("finished", 0),
        ("failed", 1),
        ("crashed", 1),
        ("killed", 1),
        ("preempted", 1),
    ],
)
def test_which_ends_are_events(watch: Watches, state: RunState, events: int) -> None:
    watched = watch(events=True)
    a_run(watched)
    assert watched.collect().events == []
    watched.project.end("run", state, START + timedelta(minutes=1))
    assert len(watched.after(minutes=2).events) == events
    # Nor again: not while it lies there, not after the hourly listing, not when it fails a second time.
    assert watched.after(minutes=2).events == []
    assert watched.after(hours=1).events == []
    if events:
        watched.project.resume("run", watched.now)
        assert watched.after(minutes=2).events == []
        watched.project.fail("run", watched.now)
        assert watched.after(minutes=2).events == []
        watched.restart()
        assert watched.after(minutes=2).events == []


@pytest.mark.parametrize("options", [{}, {"events": False}])
def test_there_are_none_unless_asked_for(watch: Watches, options: dict[str, object]) -> None:
    watched = watch(**options)
    a_run(watched)
    watched.collect()
    watched.project.fail("run", START)
    assert watched.after(minutes=2).events == []
    # Nor afterwards, when they are: the failure is an old one.
    watched.restart(events=True)
    assert watched.after(minutes=2).events == []


def test_runs_that_had_failed_before_are_no_news(watch: Watches) -> None:
    watched = watch(events=True)
    a_run(watched, state="failed")
    assert watched.collect().events == []
    assert watched.after(minutes=2).events == []


def test_what_an_event_says(watch: Watches) -> None:
    watched = watch(events=True, tags=["env:prod"])
    a_run(watched)
    watched.collect()
    watched.project.fail("run", START + timedelta(minutes=1))
    (event,) = watched.after(minutes=2).events
    address = f"{watched.server.url}/metta-research/metta/runs/run"
    assert event == {
        "timestamp": int(watched.now.timestamp()),
        "event_type": "metta_wandb",
        "source_type_name": "metta_wandb",
        "msg_title": "W&B run failed: github.sky.main",
        "msg_text": (
            f"%%% \n[run]({address}) in metta-research/metta\n\nIt ran for 1.52 h.\n\nState in W&B: failed\n\n"
            "`sps`: 300\n\n`overview/reward`: 7.5\n %%%"
        ),
        "aggregation_key": "wandb:metta-research/metta:run",
        "alert_type": "error",
        "host": "",
        "tags": [
            "run_id:run",
            "run_type:train",
            "state:failed",
            "run_name:github.sky.main",
            "wandb_entity:metta-research",
            "wandb_project:metta",
            "env:prod",
        ],
    }


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        # W&B's cloud has its pages elsewhere than its API; a server of one's own does not.
        ("https://api.wandb.ai", "https://wandb.ai/my-team/a%20b/runs/r1"),
        ("https://wandb.example.com", "https://wandb.example.com/my-team/a%20b/runs/r1"),
        ("http://10.0.0.7:8080/wandb", "http://10.0.0.7:8080/wandb/my-team/a%20b/runs/r1"),
    ],
)
def test_where_the_link_leads(base_url: str, address: str) -> None:
    assert run_url("r1", ProjectPath("my-team", "a b", base_url)) == address


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("two\nlines\r\nand a\ttab", "two lines and a tab"),
        ("a \x00 byte", "a byte"),
        (None, "run"),
        ("x" * 600, "x" * 100),
        ("half a pair: \ud83d", "half a pair: \ufffd"),
        ("🚀 %s {0}", "🚀 %s {0}"),
    ],
)
def test_whatever_a_run_is_called_its_event_has_one_line_of_title(watch: Watches, name: str | None, title: str) -> None:
    watched = watch(events=True)
    a_run(watched, display_name=name)
    watched.collect()
    watched.project.fail("run", START + timedelta(minutes=1))
    (event,) = watched.after(minutes=2).events
    assert event["msg_title"] == f"W&B run failed: {title}"


def test_the_text_stays_inside_what_datadog_keeps(watch: Watches) -> None:
    watched = watch(events=True, metrics=["*"])
    a_run(watched, summary={f"env_task/{'deep/' * 40}{i}`": float(i) for i in range(500)})
    watched.collect()
    watched.project.fail("run", START + timedelta(minutes=1))
    (event,) = watched.after(minutes=2).events
    assert event["msg_text"].startswith("%%% \n")
    assert event["msg_text"].endswith("\n %%%")
    assert event["msg_text"].count("`") == 2 * 30
    assert len(event["msg_text"]) < 4_000

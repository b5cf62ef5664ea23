"""The dashboards and monitors that we ship: what they cover, and how they are written out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from metta_checks.board.contract import contract
from metta_checks.board.document import COLUMNS, Dashboard, Monitor, parse_board, parse_json
from metta_checks.board.filters import holds
from metta_checks.board.library import KINDS, OPTIONAL, PAGING, RUNBOOK, dashboard, export, names, text_of
from metta_checks.board.page import ROWS_OF_A_SCREEN
from metta_checks.board.query import MetricQuery, parse_monitor_query, parse_query
from metta_checks.checks import CHECKS
from metta_checks.core.target import DropReason

NOT_SHOWN: dict[str, str] = {}
"""Metrics of the metadata that no dashboard shows, each with the reason. Those of records are not in the metadata: they
have any name, and the wall shows their verdicts."""


def queries_of(board: Dashboard) -> Iterator[MetricQuery]:
    for widget in board.leaves():
        for request in widget.definition.requests:
            for entry in request.queries:
                yield parse_query(entry.query)


def monitor(name: str) -> Monitor:
    parsed = parse_board(parse_json(text_of("monitors", name)))
    assert isinstance(parsed, Monitor)
    return parsed


def test_every_metric_is_on_a_dashboard_or_named_with_a_reason() -> None:
    shown = {query.metric for name in names("dashboards") for query in queries_of(dashboard(name))}
    assert set(contract().metrics) - shown == set(NOT_SHOWN)


def test_the_dashboards() -> None:
    assert names("dashboards") == ("health_wall", "ci", "wandb_runs")


@pytest.mark.parametrize("name", names("dashboards"))
def test_a_dashboard_fills_its_width_and_its_layout_is_fixed(name: str) -> None:
    board = dashboard(name)
    assert (board.layout_type, board.reflow_type) == ("ordered", "fixed")
    layouts = [widget.layout for widget in board.widgets if widget.layout]
    assert max(layout.x + layout.width for layout in layouts) == COLUMNS


def test_the_wall_is_one_screen_without_holes() -> None:
    layouts = [widget.layout for widget in dashboard("health_wall").widgets if widget.layout]
    assert max(layout.y + layout.height for layout in layouts) == ROWS_OF_A_SCREEN
    assert sum(layout.width * layout.height for layout in layouts) == COLUMNS * ROWS_OF_A_SCREEN


def test_the_wall_forgets_what_it_has_not_heard_for_a_quarter_of_an_hour() -> None:
    """Else a tile stays green after its check fell silent."""
    for widget in dashboard("health_wall").leaves():
        span = widget.definition.time.live_span if widget.definition.time else None
        assert span == ("1d" if "24 h" in widget.definition.title else "15m"), widget.definition.title


@pytest.mark.parametrize("name", names("dashboards"))
def test_every_query_can_be_narrowed_to_an_environment(name: str) -> None:
    texts = re.findall(r'"query": "([^"]+)"', text_of("dashboards", name))
    assert texts
    assert [text for text in texts if "$env" not in text] == []


def test_only_what_nobody_can_do_without_wakes_somebody() -> None:
    paging = {name for name in names("monitors") if PAGING in monitor(name).tags}
    assert paging == {"ci_down", "eval_down", "main_red", "training_down", "wandb_down"}
    assert {monitor(name).priority for name in paging} == {2}
    assert {monitor(name).priority for name in set(names("monitors")) - paging} == {4}


@pytest.mark.parametrize("name", names("monitors"))
def test_a_monitor_says_what_to_look_at_first(name: str) -> None:
    assert re.search(r"\bFirst (?:look|check)\b", monitor(name).message)


@pytest.mark.parametrize("name", [name for name in names("monitors") if name.endswith("_down")])
def test_an_outage_and_silence_page_after_half_an_hour(name: str) -> None:
    down = monitor(name)
    assert down.query.startswith("max(last_30m):min:metta.check.up{")
    assert down.options.on_missing_data == "show_and_notify_no_data"
    assert down.message.count("for 30 minutes") == 2


def test_nothing_but_an_outage_reports_missing_data() -> None:
    reporting = {name for name in names("monitors") if "no_data" in (monitor(name).options.on_missing_data or "")}
    assert reporting == {"ci_down", "eval_down", "training_down", "wandb_down"}


@pytest.mark.parametrize("name", names("monitors"))
def test_a_downtime_of_an_environment_reaches_a_monitor(name: str) -> None:
    assert "env" in parse_monitor_query(monitor(name).query).query.by


@pytest.mark.parametrize("name", names("monitors"))
def test_a_monitor_links_to_its_board_and_to_the_runbook(name: str) -> None:
    (board,) = re.findall(r"\[Board\]\(https://app\.datadoghq\.com/dashboard/lists\?q=([^)]+)\)", monitor(name).message)
    assert unquote_plus(board) in {dashboard(known).title for known in names("dashboards")}
    assert f"[Runbook]({RUNBOOK})" in monitor(name).message


def test_every_check_of_ours_is_watched_by_a_monitor() -> None:
    watched = {check for name in names("monitors") for check in re.findall(r"check_name:(\w+)", monitor(name).query)}
    assert {"metta_wandb", "metta_ci", "metta_training", "metta_eval"} <= watched
    assert watched <= {definition.name for definition in CHECKS}


@pytest.mark.parametrize("check", [definition.name for definition in CHECKS if definition.records])
def test_results_that_could_not_be_used_make_a_ticket(check: str) -> None:
    """One for each reason: a suite that fails may be among them."""
    query = parse_monitor_query(monitor("health_left_out").query)
    watched = {
        reason
        for reason in DropReason
        if holds(query.query.filter, {"check_name": frozenset({check}), "reason": frozenset({reason.value})})
    }
    assert (query.over_time, query.window, query.comparator, query.threshold) == ("min", 3_600, ">=", 1)
    assert (query.query.metric, query.query.by) == ("metta.check.dropped", ("env", "check_name", "reason"))
    assert watched == {DropReason.INVALID, DropReason.UNREADABLE}


def test_a_quota_that_is_below_the_bound_from_the_start_is_explained() -> None:
    """No metric tells an instance without a token, which has 60 requests an hour, from one whose token is used up."""
    quota = monitor("github_quota")
    assert parse_monitor_query(quota.query).threshold > 60
    assert "without one GitHub grants 60 requests an hour" in quota.message


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_the_pages_count_what_there_is(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8").lower()
    assert "three dashboards and fifteen monitors" in text
    optional = [name for name in names("monitors") if OPTIONAL in monitor(name).tags]
    assert (len(names("dashboards")), len(names("monitors")) - len(optional)) == (3, 15)


def test_export_writes_what_the_package_has(tmp_path: Path) -> None:
    written = list(export(tmp_path))
    files = [path.relative_to(tmp_path).as_posix() for path in written]
    everything = [f"{kind}/{name}.json" for kind in KINDS for name in names(kind)]
    assert files == [file for file in everything if file != "monitors/wandb_gpu_hours_lost.json"]
    every = [path.relative_to(tmp_path).as_posix() for path in export(tmp_path, with_optional=True)]
    assert every == everything
    assert (tmp_path / "dashboards" / "ci.json").read_text() == text_of("dashboards", "ci")


def test_export_addresses_pages_and_tickets(tmp_path: Path) -> None:
    for _ in export(
        tmp_path, page_to="@pagerduty-training", ticket_to="@slack-training", runbook=RUNBOOK, with_optional=True
    ):
        pass
    for name in names("monitors"):
        handle = "@pagerduty-training" if PAGING in monitor(name).tags else "@slack-training"
        assert exported(tmp_path, name) == f"{monitor(name).message}\n\n{handle}"


def exported(folder: Path, name: str) -> str:
    return str(json.loads((folder / "monitors" / f"{name}.json").read_text())["message"])


@pytest.mark.parametrize(
    ("site", "runbook", "links"),
    [
        ("", "", "[Board](https://app.datadoghq.com/dashboard/lists?q=Metta%3A+CI+on+a+branch)"),
        (
            "datadoghq.eu",
            "https://wiki.test/runbook",
            "[Board](https://app.datadoghq.eu/dashboard/lists?q=Metta%3A+CI+on+a+branch)"
            " · [Runbook](https://wiki.test/runbook)",
        ),
        ("us5.datadoghq.com", "", "[Board](https://us5.datadoghq.com/dashboard/lists?q=Metta%3A+CI+on+a+branch)"),
    ],
)
def test_export_writes_the_links_of_the_site_and_the_runbook(
    tmp_path: Path, site: str, runbook: str, links: str
) -> None:
    """Without a runbook's address there is no link to one."""
    for _ in export(tmp_path, site=site, runbook=runbook, with_optional=True):
        pass
    assert exported(tmp_path, "ci_down").endswith(f"\n\n{links}")
    assert not any("example.com" in exported(tmp_path, name) for name in names("monitors"))

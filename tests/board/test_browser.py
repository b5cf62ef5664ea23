"""In a real browser: the tiles say what was collected, in the right colours, and everything has its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from metta_checks.board.library import dashboard, names
from metta_checks.board.page import page
from metta_checks.board.recording import Recording

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on the PATH"),
]

SIZES = ((1920, 1080), (1280, 800))
PHONE = (500, 844)
"""The narrowest window that every headless Chromium opens; the page has one column below 700 px."""

# Measured by the page itself, since nothing but the page knows where its text ended up.
REPORT = """
<script>
(() => {
  const box = (element) => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const shown = document.querySelector("section.chosen");
  const report = {
    viewport: [innerWidth, innerHeight],
    page: [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
    theme: getComputedStyle(document.body).backgroundColor,
    tiles: [...shown.querySelectorAll("article")].map((tile) => ({
      title: tile.dataset.widget,
      box: box(tile),
      cut: [...tile.querySelectorAll("p, li, th, td, .plot, .legend, .number")]
        .filter((part) => {
          const scroll = part.closest(".scroll, .note");
          if (scroll && getComputedStyle(scroll).overflowY === "auto") return false;
          const [left, top, right, bottom] = box(part), outer = box(tile);
          return left < outer[0] - 1 || top < outer[1] - 1 || right > outer[2] + 1 || bottom > outer[3] + 1;
        }).map((part) => part.textContent.slice(0, 40)),
      sizes: [...tile.querySelectorAll("h3, .figure .number, .unit:not(:empty), th, td, li")]
        .map((part) => parseFloat(getComputedStyle(part).fontSize)),
      figures: [...tile.querySelectorAll("[data-value]")].map((part) => ({
        value: parseFloat(part.dataset.value),
        text: part.querySelector(".number").textContent,
        label: [...part.parentElement.querySelectorAll("th")].map((head) => head.title),
        ground: getComputedStyle(part).backgroundColor,
      })),
      lines: tile.querySelectorAll(".chart .legend li").length,
      spoken: tile.getAttribute("aria-label") || "",
    })),
  };
  const told = document.createElement("pre");
  told.id = "report";
  told.textContent = JSON.stringify(report);
  document.body.append(told);
})();
</script>
"""

RED, YELLOW, GREEN = "fail", "unknown", "pass"
GROUNDS = {
    "light": {GREEN: "rgb(31, 138, 76)", YELLOW: "rgb(168, 111, 0)", RED: "rgb(204, 47, 60)"},
    "dark": {GREEN: "rgb(31, 143, 80)", YELLOW: "rgb(169, 114, 10)", RED: "rgb(214, 58, 71)"},
}
CATEGORIES = (("CI", "ci"), ("Training", "training"), ("Evaluation", "evaluation"))


Looker = Callable[..., "Look"]


@dataclass
class Look:
    """One dashboard as one window showed it."""

    report: dict[str, Any]

    def tile(self, title: str) -> dict[str, Any]:
        (found,) = [tile for tile in self.report["tiles"] if tile["title"] == title]
        return found

    def figure(self, title: str) -> str:
        (figure,) = self.tile(title)["figures"]
        return str(figure["text"])


@pytest.fixture(scope="session")
def html(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "board.html"
    text = page({name: dashboard(name) for name in names("dashboards")}, recording)
    path.write_text(text.replace("</body></html>", f"{REPORT}</body></html>"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def look(html: Path, tmp_path_factory: pytest.TempPathFactory) -> Looker:
    looks: dict[tuple[str, tuple[int, int], str], Look] = {}

    def report(address: str, size: tuple[int, int]) -> dict[str, Any]:
        return _report(address, size, tmp_path_factory.mktemp("profile"))

    # The window's size counts its frame too, even where there is no screen.
    width, height = report(html.as_uri(), SIZES[0])["viewport"]
    frame = SIZES[0][0] - width, SIZES[0][1] - height

    def at(name: str, size: tuple[int, int] = SIZES[0], theme: str = "dark") -> Look:
        if (name, size, theme) not in looks:
            window = size[0] + frame[0], size[1] + frame[1]
            found = looks[name, size, theme] = Look(report(f"{html.as_uri()}?theme={theme}#{name}", window))
            assert tuple(found.report["viewport"]) == size
        return looks[name, size, theme]

    return at


def _report(address: str, size: tuple[int, int], profile: Path) -> dict[str, Any]:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
        f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=10000",
        "--dump-dom", address,
    ]  # fmt: skip
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "/dev/null"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)
    found = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(unescape(found[1]))
    return report


@dataclass
class Truth:
    """The samples of the last round, counted by hand."""

    samples: list[tuple[str, float, set[str]]]

    def values(self, metric: str, *tags: str) -> list[float]:
        return [value for name, value, own in self.samples if name == metric and set(tags) <= own]


@pytest.fixture(scope="session")
def rounds(documents: dict[str, str]) -> list[Truth]:
    by_round: dict[int, list[tuple[str, float, set[str]]]] = {}
    for document in documents.values():
        for number, collection in enumerate(json.loads(document)["collections"]):
            for sample in collection["metrics"]:
                by_round.setdefault(number, []).append((sample["metric"], sample["value"], set(sample["tags"])))
    return [Truth(by_round[number]) for number in sorted(by_round)]


@pytest.mark.parametrize(("size", "theme"), zip(SIZES, ("dark", "light"), strict=True))
@pytest.mark.parametrize("name", names("dashboards"))
def test_nothing_overlaps_and_nothing_is_cut(look: Looker, name: str, size: tuple[int, int], theme: str) -> None:
    tiles = look(name, size, theme).report["tiles"]
    assert tiles
    for number, tile in enumerate(tiles):
        assert tile["cut"] == [], tile["title"]
        left, top, right, bottom = tile["box"]
        for other in tiles[number + 1 :]:
            x, y, x_end, y_end = other["box"]
            assert right <= x or x_end <= left or bottom <= y or y_end <= top, (tile["title"], other["title"])


@pytest.mark.parametrize(("size", "theme"), zip(SIZES, ("dark", "light"), strict=True))
def test_the_wall_has_no_scroll_bar_and_fills_the_screen(look: Looker, size: tuple[int, int], theme: str) -> None:
    report = look("health_wall", size, theme).report
    width, height = report["viewport"]
    assert report["page"] == [width, height]
    assert max(tile["box"][3] for tile in report["tiles"]) == pytest.approx(height, abs=20)
    assert max(tile["box"][2] for tile in report["tiles"]) == pytest.approx(width, abs=20)


def test_the_wall_can_be_read_from_four_metres(look: Looker) -> None:
    """On a screen of 1080 lines: no text below 22 px, and the tiles on top many times that."""
    for tile in look("health_wall").report["tiles"]:
        assert min(tile["sizes"]) >= 22, tile["title"]
    assert min(look("health_wall").tile("CI failing")["sizes"][1:]) >= 100


@pytest.mark.parametrize("name", names("dashboards"))
def test_on_a_phone_there_is_one_column_that_can_be_read(look: Looker, name: str) -> None:
    report = look(name, PHONE).report
    width, _ = report["viewport"]
    assert report["page"][0] <= width
    tops = [tile["box"][1] for tile in report["tiles"]]
    assert tops == sorted(tops)
    for tile in report["tiles"]:
        assert tile["box"][2] - tile["box"][0] > 0.88 * width, tile["title"]
        assert min([*tile["sizes"], 99]) >= 15, tile["title"]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pass_unknown_and_fail_have_their_colours(look: Looker, theme: str) -> None:
    """In the matrix the place of the 1 is the state, and has its colour."""
    seen = set()
    for title in ("CI", "Training, age of results", "Evaluation, age of results"):
        for _, marks in rows_of(look("health_wall", theme=theme).tile(title)):
            values = [mark["value"] for mark in marks[:3]]
            assert sorted(values) == [0, 0, 1]
            place = values.index(1)
            assert marks[place]["ground"] == GROUNDS[theme][(RED, YELLOW, GREEN)[place]]
            seen.add(place)
    assert seen == {0, 1, 2}


def rows_of(tile: dict[str, Any]) -> list[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """The rows of a table: names and figures."""
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for figure in tile["figures"]:
        rows.setdefault(tuple(figure["label"]), []).append(figure)
    return list(rows.items())


def test_the_themes_differ(look: Looker) -> None:
    dark, light = look("health_wall"), look("health_wall", theme="light")
    assert dark.report["theme"] != light.report["theme"]


@pytest.mark.parametrize(("name", "category"), CATEGORIES)
def test_the_composite_tiles_count_verdicts(look: Looker, rounds: list[Truth], name: str, category: str) -> None:
    states = rounds[-1].values("metta.infra.health.state", f"workflow_category:{category}")
    tiles = look("health_wall").report["tiles"]
    place = next(number for number, tile in enumerate(tiles) if tile["title"] == f"{name} failing")
    failing, unknown, passing = (tile["figures"][0] for tile in tiles[place : place + 3])
    assert (failing["text"], unknown["text"]) == (str(states.count(2)), str(states.count(1)))
    ground = RED if 2 in states else YELLOW if 1 in states else GREEN
    assert failing["ground"] == GROUNDS["dark"][ground]
    shares = []
    for truth in rounds:
        judged = truth.values("metta.infra.health.status", f"workflow_category:{category}")
        shares.append(sum(judged) / len(judged))
    assert passing["text"] == f"{sum(shares) / len(shares) * 100:.0f}"


def test_the_list_has_every_failing_verdict_with_its_value(look: Looker, rounds: list[Truth]) -> None:
    failing = [
        dict(tag.split(":", 1) for tag in tags)
        for name, value, tags in rounds[-1].samples
        if name == "metta.infra.health.state" and value == 2
    ]
    values = {
        (own["workflow_name"], own["task"], own["check"]): value
        for name, value, tags in rounds[-1].samples
        if name == "metta.infra.health.value"
        for own in [dict(tag.split(":", 1) for tag in tags)]
    }
    wanted = {(own["workflow_name"], own["task"], own["check"]): values[own["workflow_name"], own["task"], own["check"]]
              for own in failing}  # fmt: skip
    rows = rows_of(look("health_wall").tile("Failing verdicts: value, limit, age"))
    shown = {(names[0], names[1], names[3]): figures[1]["value"] for names, figures in rows}
    assert len(rows) == min(len(failing), 12)
    assert shown.items() <= wanted.items()
    assert look("health_wall").figure("Not listed") == str(max(0, len(failing) - 12))


def test_the_matrix_shows_for_every_task_its_worst_state(look: Looker, rounds: list[Truth]) -> None:
    for tile, category in CATEGORIES[1:]:
        worst: dict[tuple[str, ...], float] = {}
        for name, value, tags in rounds[-1].samples:
            own = dict(tag.split(":", 1) for tag in tags)
            if name == "metta.infra.health.state" and own["workflow_category"] == category:
                place = own["workflow_name"], own["task"]
                worst[place] = max(value, worst.get(place, 0))
        rows = rows_of(look("health_wall").tile(f"{tile}, age of results"))
        shown = {label: 2.0 - [mark["value"] for mark in marks[:3]].index(1) for label, marks in rows}
        assert shown.items() <= worst.items()
        assert len(shown) == min(10, len(worst))


@pytest.mark.parametrize(
    ("name", "tile", "metric", "tags"),
    [
        ("wandb_runs", "Running runs", "wandb.runs", ("state:running",)),
        ("wandb_runs", "Finished runs", "wandb.runs", ("state:finished",)),
        ("wandb_runs", "Failed runs", "wandb.runs", ("state:failed",)),
        ("wandb_runs", "GPUs in use", "wandb.gpus_in_use", ()),
        ("ci", "Other failing workflows", "metta.infra.cron.ci.workflow.other_failing", ()),
        ("ci", "Queued runs", "metta.infra.cron.ci.runs.queued", ()),
        ("ci", "Running runs", "metta.infra.cron.ci.runs.in_progress", ()),
        ("health_wall", "No data", "metta.infra.health.data_missing", ()),
    ],
)
def test_counts_are_those_of_the_samples(
    look: Looker, rounds: list[Truth], name: str, tile: str, metric: str, tags: tuple[str, ...]
) -> None:
    assert look(name).figure(tile) == f"{sum(rounds[-1].values(metric, *tags)):,.0f}"


def test_figures_that_are_computed(look: Looker, rounds: list[Truth]) -> None:
    finished = sum(rounds[-1].values("wandb.runs", "state:finished"))
    failed = sum(rounds[-1].values("wandb.runs", "state:failed"))
    assert look("wandb_runs").figure("Success rate") == f"{finished / (finished + failed) * 100:.0f}"
    (ratio,) = rounds[-1].values("metta.infra.cron.ci.workflow.success_ratio")
    assert look("ci").figure("Successful runs, 24 h") == f"{ratio * 100:.1f}"
    speeds = [
        speed
        for truth in rounds
        for speed in truth.values("wandb.run.completed.sps", "run_type:train", "state:finished")
    ]
    assert look("wandb_runs").figure("Train speed, 24 h") == f"{sum(speeds) / len(speeds):,.0f}"


def test_charts_have_a_line_for_each_group(look: Looker) -> None:
    assert look("wandb_runs").tile("Running runs by type")["lines"] == 3
    assert look("wandb_runs").tile("Finished and failed in the timeframe")["lines"] == 2
    assert look("ci").tile("Run time, minutes")["lines"] == 3
    assert look("ci").tile("Requests per collection")["lines"] == 1

"""Documents that newer ones push out: their verdicts are unknown, and none of them turns green by silence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from metta_checks.health import sources

Make = Callable[..., Any]

PASS, UNKNOWN, FAIL = 0, 1, 2
STATE = "metta.infra.health.state"


@pytest.fixture(autouse=True)
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three documents are too many: a thousand take their time."""
    monkeypatch.setattr(sources, "MAX_DOCUMENTS", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., None]:
    """Write a document of the test's folder, as old as its number of seconds after 1970."""

    def put(name: str, at: int, records: Sequence[dict[str, Any]]) -> None:
        path = tmp_path / "many" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(records), encoding="utf-8")
        os.utime(path, (at, at))

    return put


@pytest.mark.parametrize("pattern", ["", "*", "*.json"])
def test_a_red_verdict_that_newer_documents_push_out_is_unknown(
    pattern: str, folder: Make, record: Make, make_check: Make, run: Make, tmp_path: Path
) -> None:
    folder("red.json", 1, [record(task="red", value=0.12, status="fail")])
    folder("green.json", 2, [record(task="green")])
    check = make_check(tmp_path / "many" / pattern)
    assert run(check).value(STATE, "task:red") == FAIL

    folder("newer.json", 3, [record(task="newer")])

    for _ in range(3):
        collected = run(check)
        assert collected.value(STATE, "task:red") == UNKNOWN
        assert collected.values("metta.infra.health.value", "task:red") == []
        assert [collected.value(STATE, f"task:{task}") for task in ("green", "newer")] == [PASS, PASS]
        assert collected.dropped("over_limit") == 1


def test_under_a_prefix_too(s3: Any, record: Make, make_check: Make, run: Make) -> None:
    def put(name: str, *records: dict[str, Any]) -> None:
        s3.put_object(Bucket="results", Key=f"nightly/{name}", Body=json.dumps(records))

    put("red.json", record(task="red", value=0.12, status="fail"))
    put("z.json", record(task="z"))
    check = make_check("s3://results/nightly/")
    assert run(check).value(STATE, "task:red") == FAIL

    # S3 gives times by the second: of equal ones the later name counts as newer.
    put("zz.json", record(task="zz"))

    assert run(check).value(STATE, "task:red") == UNKNOWN


def test_it_is_what_it_is_again_once_there_is_room(
    folder: Make, record: Make, make_check: Make, run: Make, tmp_path: Path
) -> None:
    folder("red.json", 1, [record(task="red", value=0.12, status="fail")])
    check = make_check(tmp_path / "many")
    run(check)
    folder("a.json", 2, [record(task="a")])
    folder("b.json", 3, [record(task="b")])
    assert run(check).value(STATE, "task:red") == UNKNOWN

    (tmp_path / "many" / "a.json").unlink()
    assert run(check).value(STATE, "task:red") == FAIL

    (tmp_path / "many" / "red.json").unlink()
    assert run(check).values(STATE, "task:red") == []


def test_one_that_is_read_and_has_too_many_records_is_unknown_at_once(
    folder: Make, record: Make, collect: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def several(task: str, **fields: Any) -> list[dict[str, Any]]:
        return [record(task=task, tags={"seed": seed}, **fields) for seed in range(3)]

    monkeypatch.setattr(sources, "MAX_TOTAL", 1)
    folder("red.json", 1, several("red", value=0.12, status="fail"))
    folder("green.json", 2, several("green"))

    collected = collect(tmp_path / "many", max_records=3)

    assert [collected.value(STATE, f"task:{task}") for task in ("red", "green")] == [UNKNOWN, PASS]
    assert collected.dropped("over_limit") == 1


@pytest.mark.parametrize(
    ("newer", "state"),
    [
        pytest.param({"tags": {"seed": 2}, "timestamp": "2025-01-14T15:05:00Z"}, UNKNOWN, id="another seed passes"),
        pytest.param({"tags": {"seed": 1}, "timestamp": "2025-01-14T15:05:00Z"}, PASS, id="the same, later"),
        pytest.param({"tags": {"seed": 1}, "timestamp": "2025-01-14T15:00:00Z"}, PASS, id="the same, at the same time"),
        pytest.param({"tags": {"seed": 1}, "timestamp": "2025-01-14T14:55:00Z"}, UNKNOWN, id="the same, earlier"),
        pytest.param({"tags": {"seed": 2}, "value": 0.1, "status": "fail"}, FAIL, id="another seed fails"),
        pytest.param({"tags": {"seed": 2}, "status": "unknown"}, UNKNOWN, id="another seed is unknown"),
    ],
)
@pytest.mark.parametrize("silence", ["over the limit", "torn", "invalid"])
def test_a_pass_of_the_same_tags_does_not_hide_a_failure_that_fell_silent(
    silence: str,
    newer: dict[str, Any],
    state: int,
    folder: Make,
    record: Make,
    make_check: Make,
    run: Make,
    tmp_path: Path,
) -> None:
    folder("red.json", 1, [record(value=0.12, status="fail", tags={"seed": 1})])
    folder("newer.json", 2, [record(**newer)])
    check = make_check(tmp_path / "many")
    run(check)

    match silence:
        case "over the limit":
            folder("newest.json", 3, [record(task="newest")])
        case "torn":
            (tmp_path / "many" / "red.json").write_bytes(b"[")
        case "invalid":
            folder("red.json", 1, [record(value="low", tags={"seed": 1})])

    for _ in range(2):
        assert run(check).value(STATE, "task:runs_successfully") == state


def test_a_green_verdict_that_fell_silent_gives_way_to_what_is_read(
    folder: Make, record: Make, make_check: Make, run: Make, tmp_path: Path
) -> None:
    folder("old.json", 1, [record(tags={"seed": 1})])
    folder("newer.json", 2, [record(tags={"seed": 2})])
    check = make_check(tmp_path / "many")
    run(check)

    folder("newest.json", 3, [record(task="newest")])

    assert run(check).value(STATE, "task:runs_successfully") == PASS


def test_what_is_remembered_of_pushed_out_documents_is_bounded(
    folder: Make, record: Make, make_check: Make, run: Make, tmp_path: Path
) -> None:
    """As many records as a source may have: here four documents of one record."""
    check = make_check(tmp_path / "many", max_records=1)
    for number in range(20):
        folder(f"{number:02}.json", number + 1, [record(task=str(number), value=0.12, status="fail")])
        collected = run(check)

    states = {task: collected.value(STATE, f"task:{task}") for task in range(14, 20)}
    assert states == {14: UNKNOWN, 15: UNKNOWN, 16: UNKNOWN, 17: UNKNOWN, 18: FAIL, 19: FAIL}
    assert collected.values(STATE, "task:13") == []

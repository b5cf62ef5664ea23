"""Documents that cannot be used as a whole, alone and among others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError

Make = Callable[..., Any]

BROKEN = [
    pytest.param(b"", "it is empty", id="empty"),
    pytest.param(b" \n", "it is empty", id="blank"),
    pytest.param(b"<html>", "no valid JSON", id="html"),
    pytest.param(b'[{"metric": "hea', "no valid JSON", id="torn"),
    pytest.param(b'[{"value": NaN}]', "no valid JSON", id="NaN"),
    pytest.param(b'[{"value": Infinity}]', "no valid JSON", id="Infinity"),
    pytest.param(b'[{"value": -Infinity}]', "no valid JSON", id="-Infinity"),
    pytest.param(b"[" * 19_000, "no valid JSON", id="too deep, open"),
    pytest.param(b"[" * 500 + b"]" * 500, "no valid JSON", id="too deep"),
    pytest.param(b'["\xff"]', "no valid JSON", id="not UTF-8"),
    pytest.param(b"\x00" * 100, "no valid JSON", id="zeros"),
    pytest.param(b"null", "valid JSON, but no list of records", id="null"),
    pytest.param(b"7", "valid JSON, but no list of records", id="number"),
    pytest.param(b'{"record": []}', "valid JSON, but no list of records", id="other key"),
    pytest.param(b'{"records": {}}', "valid JSON, but no list of records", id="records is no list"),
    pytest.param(json.dumps([{}] * 101).encode(), "101 records where 100 are allowed", id="too many records"),
    pytest.param(b"[" + b" " * 20_000 + b"]", "more than 20,000 bytes", id="too large"),
]
LIMITS = {"max_records": 100, "max_bytes": 20_000}


@pytest.mark.parametrize(("content", "detail"), BROKEN)
def test_an_only_document_that_cannot_be_used_fails_the_collection(
    content: bytes, detail: str, write: Make, collect: Make
) -> None:
    path = write(content)

    collected = collect(path, **LIMITS)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert str(collected.error).startswith(f"reading health records from {path}: {detail}")


@pytest.mark.parametrize(("content", "detail"), BROKEN)
def test_one_of_several_is_left_out_and_named_and_the_others_count(
    content: bytes, detail: str, record: Make, write: Make, collect: Make
) -> None:
    bad = write(content, "all/bad.json")
    good = write([record()], "all/good.json")

    collected = collect(good.parent, **LIMITS)

    assert (collected.up, collected.data_missing, collected.hearts) == (1, 0, [0.91])
    assert (collected.dropped("unreadable"), collected.dropped("invalid")) == (1, 0)
    (warning,) = collected.warnings
    assert warning.startswith(f"1 left out (unreadable): reading health records from {bad}: {detail}")


def test_several_of_which_none_can_be_used_fail_the_collection(write: Make, collect: Make) -> None:
    write(b"{", "all/one.json")
    directory = write(b"", "all/two.json").parent

    collected = collect(directory)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert "none of its 2 documents can be read; the newest: " in str(collected.error)


def test_a_document_at_its_limits_counts(record: Make, write: Make, collect: Make, tmp_path: Path) -> None:
    records = [record(tags={"seed": seed}) for seed in range(100)]
    path = write(json.dumps(records).encode().ljust(40_000))

    collected = collect(path, max_records=100, max_bytes=40_000)

    assert (collected.up, len(collected.hearts)) == (1, 100)


def test_a_failure_leaves_no_figures_of_before(record: Make, write: Make, make_check: Make, run: Make) -> None:
    path = write([record()])
    check = make_check(path)
    assert run(check).hearts == [0.91]

    write(b"{")
    failed = run(check)
    write([record(value=0.92)])

    assert (failed.up, failed.hearts, failed.values("metta.infra.health.value")) == (0, [], [])
    assert run(check).hearts == [0.92]


PASS, UNKNOWN, FAIL = 0, 1, 2


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        pytest.param(b"{", [PASS, UNKNOWN], id="a document that cannot be read"),
        pytest.param([{"value": "high"}], [PASS, UNKNOWN], id="a record that is invalid"),
        pytest.param([{"timestamp": "2035-01-01T00:00:00Z"}], [PASS, UNKNOWN], id="a record of the future"),
        pytest.param([{"value": 0.9}], [PASS, PASS], id="a good one"),
        pytest.param([{"value": "high"}, {"status": "fail"}], [PASS, FAIL], id="an invalid one beside a red one"),
        pytest.param([], [PASS], id="an empty list"),
        pytest.param(None, [PASS], id="no document"),
    ],
)
def test_a_red_verdict_does_not_turn_green_by_falling_silent(
    fault: Any, states: list[int], record: Make, tmp_path: Path, make_check: Make, run: Make
) -> None:
    """What cannot be read now is unknown; what is not there any more is gone."""
    (tmp_path / "a.json").write_text(json.dumps([record(task="a")]), encoding="utf-8")
    red = tmp_path / "b.json"
    red.write_text(json.dumps([record(task="b", value=0.1, status="fail")]), encoding="utf-8")
    check = make_check(str(tmp_path))
    assert sorted(run(check).values("metta.infra.health.state")) == [PASS, FAIL]

    if fault is None:
        red.unlink()
    else:
        records = fault if isinstance(fault, bytes) else [record(task="b", **fields) for fields in fault]
        red.write_bytes(records if isinstance(records, bytes) else json.dumps(records).encode())

    for _ in range(2):
        assert sorted(run(check).values("metta.infra.health.state")) == states


def test_when_nothing_can_be_read_all_that_was_known_is_unknown(
    record: Make, tmp_path: Path, make_check: Make, run: Make
) -> None:
    path = tmp_path / "training.json"
    check = make_check(str(path))
    assert run(check).values("metta.infra.health.state") == []
    path.write_text(json.dumps([record(), record(task="b", value=0.1, status="fail")]), encoding="utf-8")
    run(check)
    path.unlink()

    failed = run(check)

    assert (failed.up, failed.data_missing) == (0, 1)
    assert failed.values("metta.infra.health.state") == [UNKNOWN, UNKNOWN]
    assert failed.values("metta.infra.health.age_seconds") == []

"""What holds for any JSON whatsoever, and for any records that are published."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metta_checks.core import SourceError
from metta_checks.health import Limits, parse_record, publish
from metta_checks.health.local import read_file

Make = Callable[..., Any]

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff,]")

SHARED_FILE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""Every example writes the same file anew, so that the fixtures may be shared among them."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)

likely = {
    "metric": st.sampled_from(["hearts", "sps", "a.b", "metta.infra.x", "metta.check.up", "9"]) | texts,
    "value": st.floats() | st.integers() | json_values,
    "workflow_name": texts,
    "task": texts,
    "check": texts,
    "condition": st.sampled_from(["> 0.5", "<= 1", "in [0, 1]", "often", "> 1e999", "in [1, 0]"]) | texts,
    "status": st.sampled_from(["pass", "fail", "unknown", "green"]) | json_values,
    "timestamp": st.sampled_from(["2025-01-14T15:00:00Z", "2020-01-01", "9999-12-31", "0001-01-01T00:00+23:59"])
    | json_values,
    "tags": st.dictionaries(texts | st.sampled_from(["status", "env", "a:b"]), scalars, max_size=4) | json_values,
}
almost_records = st.fixed_dictionaries({}, optional=likely) | json_values
documents = st.lists(almost_records, max_size=5) | st.builds(
    lambda records, other: {**other, "records": records},
    st.lists(almost_records, max_size=5),
    st.dictionaries(texts, json_values, max_size=2),
)


IDENTITIES = st.fixed_dictionaries(
    {"metric": st.sampled_from(["hearts", "sps"]), "task": st.sampled_from(["a", "b"]), "seed": st.integers(1, 2)}
)


@given(published=st.lists(IDENTITIES, min_size=1, max_size=6), data=st.data())
@SHARED_FILE
def test_any_order_of_merges_keeps_the_newest_record_of_each_identity(
    published: list[dict[str, Any]], data: st.DataObject, record: Make, tmp_path: Path
) -> None:
    path = tmp_path / "merged.json"
    path.unlink(missing_ok=True)
    expected = {(one["metric"], one["task"], one["seed"]): number for number, one in enumerate(published)}

    for number in data.draw(st.permutations(range(len(published)))):
        one = published[number]
        tags = {"seed": one["seed"], "commit": f"c{number}", "run_id": number}
        at = f"2025-01-14T15:{number:02}:00Z"
        made = record(metric=one["metric"], task=one["task"], value=number, timestamp=at, tags=tags)
        publish([made], path, merge=True, now=NOW)

    kept = json.loads(path.read_text())
    assert {(one["metric"], one["task"], one["tags"]["seed"]): one["value"] for one in kept} == expected
    assert len(kept) == len(expected)


@given(content=(documents | json_values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
@SHARED_FILE
def test_any_content_gives_samples_or_a_named_fault(content: bytes, write: Make, make_check: Make, run: Make) -> None:
    check = make_check(write(content), tags=["team:rl"])

    collected = run(check)

    if collected.error is not None:
        assert isinstance(collected.error, SourceError)
        assert (collected.up, collected.data_missing) == (0, 1)
    else:
        assert collected.up == 1
    for (name, tags), value in collected.series.items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]{0,199}", name)
        assert isfinite(value)
        assert all(len(tag) <= 200 and not UNSAFE.search(tag) for tag in tags)
        assert "team:rl" in tags
    assert set(collected.values("metta.infra.health.state")) <= {0, 1, 2}
    assert len(collected.values("metta.infra.health.value")) == len(collected.values("metta.infra.health.state"))
    named = [name for name, _ in collected.series if not name.startswith(("metta.check.", "metta.infra.health."))]
    assert bool(named) == (collected.data_missing == 0)


filled = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
finite = st.floats(allow_nan=False, allow_infinity=False)
tag_values = texts | st.booleans() | st.integers() | finite
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
valid_records = st.builds(
    lambda required, optional, unknown: {**unknown, **required, **optional},
    st.fixed_dictionaries(
        {
            "metric": st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,30}", fullmatch=True).filter(
                lambda name: not name.startswith(("metta.check.", "metta.infra.health."))
            ),
            "value": finite | st.integers(-(2**53), 2**53),
            "workflow_name": filled,
            "task": filled,
            "check": filled,
            "condition": st.sampled_from(["> 0.5", "in [0, 1]"]) | filled,
        }
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["pass", "fail", "unknown", None]),
            "timestamp": st.datetimes(datetime(1990, 1, 1), NOW.replace(tzinfo=None)).map(lambda at: at.isoformat()),  # noqa: DTZ001
            "tags": st.dictionaries(texts, tag_values, max_size=4),
        },
    ),
    st.dictionaries(texts, plain_json, max_size=2),
)


@given(records=st.lists(valid_records, max_size=6))
@SHARED_FILE
def test_what_is_read_is_what_was_published(records: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "results.json"

    publish(records, path, lenient=True, allow_empty=True, now=NOW)
    document = read_file(path, Limits())

    expected = [parse_record(record) for record in records]
    assert document.faults == ()
    assert [entry.record for entry in document.entries] == [
        record if record.timestamp else record.model_copy(update={"timestamp": NOW}) for record in expected
    ]


@given(records=st.lists(valid_records, max_size=6))
@SHARED_FILE
def test_to_merge_the_same_again_changes_nothing(records: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.unlink(missing_ok=True)

    publish(records, path, merge=True, lenient=True, allow_empty=True, now=NOW)
    once = path.read_text()
    publish(records, path, merge=True, lenient=True, allow_empty=True, now=NOW)

    assert path.read_text() == once


@pytest.mark.parametrize("hours", [0, 1, 27])
@given(records=st.lists(valid_records, min_size=1, max_size=6))
@SHARED_FILE
def test_what_was_published_gives_a_verdict_each(
    hours: int, records: list[dict[str, Any]], tmp_path: Path, make_check: Make, run: Make
) -> None:
    at = (NOW - timedelta(hours=hours)).isoformat()
    path = tmp_path / "results.json"
    publish([{**record, "timestamp": at} for record in records], path, lenient=True, now=NOW)

    collected = run(make_check(path))

    assert (collected.up, collected.data_missing, collected.dropped("invalid")) == (1, 0, 0)
    states = collected.values("metta.infra.health.state")
    assert 1 <= len(states) <= len(records)
    assert set(states) <= ({1} if hours > 26 else {0, 1, 2})

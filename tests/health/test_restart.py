"""What a check knew of its documents survives a restart of the Agent: a red verdict is unknown, not gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent

from metta_checks.health import sources, state
from metta_checks.simulator.server import LoopbackServer, Reply, Request

Make = Callable[..., Any]

PASS, UNKNOWN, FAIL = 0, 1, 2
STATE, VALUE = "metta.infra.health.state", "metta.infra.health.value"
BROKEN = {"torn": b'[{"metric": "hea', "empty": b"", "no longer a list": b"{}", "gone": None}


def overwrite(path: Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("restarts", [1, 3])
def test_a_red_verdict_of_a_source_that_broke_meanwhile_is_unknown(
    content: bytes | None, restarts: int, record: Make, write: Make, collect: Make
) -> None:
    path = write([record(value=0.12, status="fail")])
    before = collect(path)

    overwrite(path, content)
    after = [collect(path) for _ in range(restarts)]

    assert before.value(STATE) == FAIL
    assert [(one.up, one.value(STATE), one.values(VALUE)) for one in after] == restarts * [(0, UNKNOWN, [])]


@pytest.mark.parametrize("kind", ["file", "s3", "http"])
def test_wherever_the_records_are(
    kind: str, record: Make, write: Make, collect: Make, request: pytest.FixtureRequest
) -> None:
    content = json.dumps([record(value=0.12, status="fail")]).encode()

    class Page(LoopbackServer):
        body = content

        def answer(self, request: Request) -> Reply:
            return Reply(body=self.body)

    with Page() as page:
        match kind:
            case "file":
                source: object = write(content)
            case "s3":
                request.getfixturevalue("s3").put_object(Bucket="results", Key="a.json", Body=content)
                source = "s3://results/a.json"
            case _:
                source = page.url
        assert collect(source).value(STATE) == FAIL
        match kind:
            case "file":
                write(b"[")
            case "s3":
                request.getfixturevalue("s3").put_object(Bucket="results", Key="a.json", Body=b"[")
            case _:
                page.body = b"["

        assert collect(source).value(STATE) == UNKNOWN


def test_a_torn_document_among_others(record: Make, write: Make, collect: Make) -> None:
    red = write([record(task="red", value=0.12, status="fail")], "all/red.json")
    write([record(task="green")], "all/green.json")
    collect(red.parent)

    overwrite(red, b"[")
    after = collect(red.parent)

    assert (after.up, after.value(STATE, "task:red"), after.value(STATE, "task:green")) == (1, UNKNOWN, PASS)


def test_a_document_that_was_deleted_among_others_is_forgotten(record: Make, write: Make, collect: Make) -> None:
    red = write([record(task="red", value=0.12, status="fail")], "all/red.json")
    write([record(task="green")], "all/green.json")
    collect(red.parent)

    red.unlink()

    assert collect(red.parent).values(STATE, "task:red") == []


def test_a_document_that_newer_ones_push_out(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_DOCUMENTS", 1)
    red = write([record(task="red", value=0.12, status="fail")], "all/red.json")
    collect(red.parent)
    write([record(task="green")], "all/zz.json")

    states = [collect(red.parent).value(STATE, "task:red") for _ in range(3)]

    assert states == [UNKNOWN, UNKNOWN, UNKNOWN]


def test_one_record_that_became_invalid(record: Make, write: Make, collect: Make) -> None:
    path = write([record(task="red", value=0.12, status="fail"), record(task="green")])
    collect(path)

    write([record(task="red", value="0.12"), record(task="green")])
    after = collect(path)

    assert (after.up, after.value(STATE, "task:red"), after.value(STATE, "task:green")) == (1, UNKNOWN, PASS)


def test_it_is_what_it_is_again_once_it_can_be_read(record: Make, write: Make, collect: Make) -> None:
    path = write([record(value=0.12, status="fail")])
    collect(path)
    overwrite(path, b"[")
    collect(path)

    write([record()])

    assert collect(path).value(STATE) == PASS


def test_options_that_do_not_hold_after_the_restart(record: Make, write: Make, collect: Make) -> None:
    path = write([record(value=0.12, status="fail")])
    collect(path)

    after = collect(path, max_age="a day")

    assert (after.up, after.value(STATE)) == (0, UNKNOWN)


@pytest.mark.parametrize("left", ["", "null", "{}", '{"version":1,"state":{"documents":{"a":1}}}', '{"version":2}'])
def test_a_state_that_is_not_ours_is_a_fresh_start(left: str, record: Make, write: Make, collect: Make) -> None:
    path = write([record(value=0.12, status="fail")])
    collect(path)
    (key,) = (key for key in datadog_agent._cache if key.endswith("_documents"))
    datadog_agent.write_persistent_cache(key, left)
    overwrite(path, b"[")

    after = collect(path)

    assert (after.up, after.values(STATE)) == (0, [])


def test_of_too_many_records_the_failing_ones_are_saved(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_SAVED", 3)
    records = [record(task=f"t{number}") for number in range(8)]
    path = write([*records, record(task="red", value=0.12, status="fail"), record(task="late", status="fail")])
    collect(path)

    overwrite(path, b"[")
    after = collect(path)

    assert len(after.values(STATE)) == 3
    assert (after.value(STATE, "task:red"), after.value(STATE, "task:late")) == (UNKNOWN, UNKNOWN)


def test_what_is_saved_is_bounded_in_size_too(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_SAVED_CHARACTERS", 10_000)
    path = write([record(task=f"t{number}", tags={"note": "x" * 1000}) for number in range(50)])
    collect(path)
    (text,) = (text for key, text in datadog_agent._cache.items() if key.endswith("_documents"))

    overwrite(path, b"[")

    assert len(text) < 12_000
    assert len(collect(path).values(STATE)) == 7

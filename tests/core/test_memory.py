"""What a source can make a check keep in memory: each attack through a collection, and what must still pass."""

from __future__ import annotations

import gc
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from core_support.servers import Line, RawServer, Source
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.ci.check import CiCheck
from metta_checks.core import Kind, MettaCheck, SourceError
from metta_checks.simulator.server import Reply
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

KEY = "k" * 40
STATUS = Path("/proc/self/status")
GZIP = {"Content-Encoding": "gzip"}
TINY = b'{"":0},'


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as running:
        yield running


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Resident memory must not rise by more; not looked at where the system does not tell it."""
    if not STATUS.is_file():
        yield
        return
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    yield
    assert resident("VmHWM") - before < megabytes


def resident(field: str) -> float:
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))


def wandb(source: Source, **options: Any) -> WandbCheck:
    instance = {"entity": "e", "project": "p", "base_url": source.url, "api_key": KEY, "tls_verify": False, **options}
    return quick(WandbCheck("metta_wandb", {}, [instance]))


def ci(source: Source) -> CiCheck:
    return quick(CiCheck("metta_ci", {}, [{"repo": "a/b", "api_url": source.url, "token": KEY, "tls_verify": False}]))


def quick(check: Any) -> Any:
    check.load_options()
    check.transport.pause = 0.001
    return check


def put(source: Source, body: bytes, headers: dict[str, str]) -> None:
    """The same answer, wherever a check asks."""
    source.answer = lambda _: Reply(200, body, headers)  # type: ignore[method-assign]


def error_of(check: MettaCheck) -> SourceError:
    report = json.loads(check.run())
    error = check.collection.error
    assert isinstance(error, SourceError)
    assert report[0]["message"] == str(error)
    return error


def many(piece: bytes, size: int = 15_000_000) -> bytes:
    return b"[" + (piece * (size // len(piece))).removesuffix(b",") + b"]"


def page(*summaries: object, **fields: object) -> bytes:
    edges = [
        {"node": {"name": f"run{i}", "state": "running", "summaryMetrics": one, **fields}}
        for i, one in enumerate(summaries)
    ]
    runs = {"edges": edges, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    return json.dumps({"data": {"viewer": {"id": "x"}, "project": {"runs": runs}}}).encode()


SHAPES = {
    "tiny objects": TINY,
    "tiny lists": b"[],",
    "lists in lists": b"[[0]],",
    "numbers": b"1.5,",
    "texts": b'"",',
    "objects of two": b'{"":0,"b":""},',
}


PLACES = {"errors": b'{"errors":%s}', "data": b'{"data":%s}', "runs": b'{"workflow_runs":%s}', "all": b"%s"}

# Each shape and each place once, by either check in turn; all combinations take a minute.
SHAPES_IN_PLACES = [
    pytest.param(
        make,
        shape,
        inside,
        id=f"{shape} in {place}-{make.__name__}",
        marks=() if (row - column) % 4 == 0 and row % 2 == turn else pytest.mark.slow,
    )
    for row, shape in enumerate(SHAPES)
    for column, (place, inside) in enumerate(PLACES.items())
    for turn, make in enumerate((wandb, ci))
]


@pytest.mark.parametrize(("make", "shape", "inside"), SHAPES_IN_PLACES)
def test_millions_of_tiny_values_are_refused_before_they_are_built(
    source: Source, make: Callable[[Source], MettaCheck], shape: str, inside: bytes
) -> None:
    size = 7_000_000
    put(source, inside % many(SHAPES[shape], size), {})
    check = make(source)
    with at_most(90):
        error = error_of(check)
    assert error.kind is Kind.OVERSIZED
    assert "00,000 values" in str(error) or "50,000 values" in str(error)
    assert ("project e/p" if make is wandb else "a/b") in str(error)


@pytest.mark.parametrize("make", [wandb, ci])
def test_a_small_answer_that_grows_without_end(source: Source, make: Callable[[Source], MettaCheck]) -> None:
    body = gzip.compress(b"[" + TINY * 9_000_000)
    assert len(body) < 100_000
    put(source, body, GZIP)
    check = make(source)
    with at_most(60):
        error = error_of(check)
    assert error.kind is Kind.OVERSIZED
    assert "grow more than 200 times" in str(error)


def test_failed_collections_leave_no_answers_behind(source: Source) -> None:
    """An error and the frames of its traceback are a cycle, which Python's collector may leave alone for hours."""
    put(source, b'{"total_count": 0, "x": "' + b"x" * 7_000_000 + b'"}', {})
    check = ci(source)
    check.run()
    gc.disable()
    try:
        with at_most(45):
            for _ in range(10):
                assert "of an unknown shape" in str(error_of(check))
    finally:
        gc.enable()


def test_an_encoding_that_was_not_asked_for(source: Source) -> None:
    put(source, zlib.compress(b"{}"), {"Content-Encoding": "zstd"})
    error = error_of(wandb(source))
    assert (error.kind, source.requests[0].headers["accept-encoding"]) == (Kind.MALFORMED, "gzip, deflate")


@pytest.mark.parametrize("padding", ["x", "\U0001f600x"], ids=["plain", "beyond the basic plane"])
@pytest.mark.parametrize("wrap", [lambda text: text, json.dumps], ids=["object", "object as text"])
def test_a_huge_wanted_value_is_passed_over(
    source: Source, aggregator: AggregatorStub, padding: str, wrap: Callable[[str], str]
) -> None:
    huge = padding[:-1] + "x" * 7_000_000
    blob = wrap(json.dumps({"overview/reward": huge, "note": huge, "loss": 0.5}, ensure_ascii=False))
    put(source, page(blob, json.dumps({"loss": 0.25})), {})
    check = wandb(source, metrics=["overview/reward", "loss"])
    with at_most(110):
        assert check.run() == ""
    values = [one.value for one in aggregator.metrics("wandb.run.metric")]
    assert sorted(values) == [0.25, 0.5]
    assert dropped(aggregator, "invalid") == 1


@pytest.mark.parametrize("field", ["summaryMetrics", "systemMetrics"])
@pytest.mark.parametrize("wrap", [lambda text: text, json.dumps], ids=["object", "object as text"])
def test_a_blob_with_too_many_values_costs_that_run_that_blob(
    source: Source, aggregator: AggregatorStub, field: str, wrap: Callable[[str], str]
) -> None:
    blob = wrap('{"loss":1,"x":[' + "{},".replace("{}", '{"":0}') * 300_000 + "0]}")
    runs = json.loads(page(json.dumps({"loss": 0.25}), json.dumps({"loss": 0.5})))
    runs["data"]["project"]["runs"]["edges"][1]["node"][field] = blob
    put(source, json.dumps(runs).encode(), {})
    check = wandb(source, metrics=["loss"])
    with at_most(60):
        assert check.run() == ""
    expected = [0.25] if field == "summaryMetrics" else [0.25, 0.5]
    assert sorted(one.value for one in aggregator.metrics("wandb.run.metric")) == expected
    assert dropped(aggregator, "unreadable") == 1
    (warning,) = check.get_warnings()
    assert "of run run1 (more than 500,000 values)" in warning


def test_what_a_page_may_have(source: Source, aggregator: AggregatorStub) -> None:
    """A thousand runs of 700 values each, most of them in the blobs; their commas are not those of the page."""
    blob = json.dumps({f"key{i}": [i, i + 1] for i in range(150)} | {"loss": 0.5, "text": "a, [b], {c}" * 20})
    system = json.dumps({f"system.gpu.{i}.gpu": 50.0 for i in range(16)})
    put(source, page(*[blob] * 1_000, systemMetrics=system, user={"username": "u"}), {})
    assert wandb(source, metrics=["loss"]).run() == ""
    assert {one.value for one in aggregator.metrics("wandb.run.metric")} == {0.5}
    assert dropped(aggregator, "unreadable") == 0


def test_a_summary_of_ten_megabytes_is_read(source: Source, aggregator: AggregatorStub) -> None:
    blob = json.dumps({f"overview/key_{i:06}": i + 0.5 for i in range(350_000)} | {"loss": 0.5})
    assert len(blob) > 9_000_000
    put(source, page(blob), {})
    assert wandb(source, metrics=["loss"]).run() == ""
    assert [one.value for one in aggregator.metrics("wandb.run.metric")] == [0.5]


RECORD = {"metric": "hearts", "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0.5", "value": 0.9}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_health_file_of_ten_megabytes_of_tiny_values(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(many(SHAPES[shape], 10_000_000))
    check = TrainingCheck("metta_training", {}, [{"source": str(path)}])
    with at_most(60):
        error = error_of(check)
    assert (error.kind, str(path) in str(error)) == (Kind.OVERSIZED, True)
    assert "more than 500,000 values" in str(error)


def test_such_a_file_beside_a_good_one(tmp_path: Path, aggregator: AggregatorStub) -> None:
    (tmp_path / "a.json").write_bytes(many(TINY, 10_000_000))
    (tmp_path / "b.json").write_text(json.dumps([RECORD]))
    check = TrainingCheck("metta_training", {}, [{"source": str(tmp_path)}])
    assert check.run() == ""
    assert [one.value for one in aggregator.metrics("metta.infra.stablesuite.hearts")] == [0.9]
    assert any("a.json" in line and "500,000 values" in line for line in check.get_warnings())


@pytest.mark.parametrize(
    "record", [{**RECORD, "tags": {f"t{i}": [] for i in range(145_000)}}, dict.fromkeys(map(str, range(201)))]
)
def test_a_record_of_very_many_fields_is_one_fault(
    tmp_path: Path, aggregator: AggregatorStub, record: dict[str, Any]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps([record, RECORD]))
    check = TrainingCheck("metta_training", {}, [{"source": str(tmp_path)}])
    with at_most(60):
        assert check.run() == ""
    assert [one.value for one in aggregator.metrics("metta.infra.stablesuite.hearts")] == [0.9]
    assert dropped(aggregator, "invalid") == 1


def test_a_document_of_full_records_is_read(tmp_path: Path, aggregator: AggregatorStub) -> None:
    tags = {f"tag{i}": f"a, [{i}]" for i in range(20)}
    (tmp_path / "a.json").write_text(json.dumps([{**RECORD, "task": f"t{i}", "tags": tags} for i in range(10_000)]))
    assert TrainingCheck("metta_training", {}, [{"source": str(tmp_path)}]).run() == ""
    assert len(aggregator.metrics("metta.infra.stablesuite.hearts")) == 10_000


def dropped(aggregator: AggregatorStub, reason: str) -> float:
    return sum(one.value for one in aggregator.metrics("metta.check.dropped") if f"reason:{reason}" in one.tags)


@pytest.mark.parametrize(
    "endless",
    [b"1" * 65_536, b"1;" + b"x" * 65_534],
    ids=["the size of a chunk", "an extension of it"],
)
def test_a_chunked_answer_whose_line_never_ends(endless: bytes) -> None:
    """64 MiB of a line that announces a chunk, which urllib3 alone would gather until the deadline."""

    def behave(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1024):
            line.send(endless)

    with RawServer(behave) as server, at_most(24):
        check = quick(
            WandbCheck("metta_wandb", {}, [{"entity": "e", "project": "p", "base_url": server.url, "api_key": KEY}])
        )
        check.run()
        error = check.collection.error
    assert isinstance(error, SourceError), repr(error)
    assert "x" * 100 not in str(error)


@contextmanager
def kept_at_most(megabytes: float) -> Iterator[None]:
    """What Python still holds after the block must not be more."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < megabytes * 1_000_000
    finally:
        tracemalloc.stop()


def test_names_of_fields_that_are_different_each_time_are_not_kept(tmp_path: Path) -> None:
    """A health record may have fields of any name."""
    document = tmp_path / "a.json"
    check = TrainingCheck("metta_training", {}, [{"source": str(document)}])
    with kept_at_most(20):
        for number in range(6):
            document.write_text(json.dumps([{**RECORD, **{f"{number}{i}" + "a" * 1_000_000: 1 for i in range(9)}}]))
            assert check.run() == ""
        document.write_text("[]")
        check.run()


@pytest.mark.parametrize(
    "field",
    [
        lambda number: {"summaryMetrics": json.dumps({f"{number}" + "a" * 7_000_000: 1})},
        lambda number: {"systemMetrics": json.dumps({f"{number}" + "a" * 7_000_000: 1})},
        lambda number: {"systemMetrics": json.dumps({f"{number}{i}" + "a" * 800: 1 for i in range(9_000)})},
    ],
    ids=["a metric", "a device", "devices"],
)
def test_keys_that_are_different_each_time_are_not_kept(source: Source, field: Callable[[int], dict[str, str]]) -> None:
    check = wandb(source, metrics=["*"], system_metrics=["gpu_power"])
    put(source, page("{}"), {})
    assert check.run() == ""
    with kept_at_most(20):
        for number in range(5):
            put(source, page("{}", **field(number)), {})
            check.run()
        put(source, page("{}"), {})
        assert check.run() == ""

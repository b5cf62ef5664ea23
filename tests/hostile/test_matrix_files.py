"""Every fault of a local file of health records; of files the system tells at once, and those of content are shared."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from hostile_support.outcome import assert_fit_for_datadog, collect
from hostile_support.playing import LIMIT, MARGIN, assert_nothing_partial
from hostile_support.stages import MOST_BYTES, Kind, Stage, document, set_timeout

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile


class FileFault(NamedTuple):
    """What takes the file's place, and what that is called."""

    place: Callable[[Path], object]
    kind: Called


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200_000_000)


def linked(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


BROKEN = Called.MALFORMED

FAULTS = {
    "none": FileFault(lambda _: None, Called.NOT_FOUND),
    "a directory": FileFault(lambda path: (path.mkdir(), (path / "a.json").write_bytes(b"{")), BROKEN),
    "a FIFO": FileFault(os.mkfifo, Called.REJECTED),
    "a link to nowhere": FileFault(linked("nowhere.json"), Called.NOT_FOUND),
    "a link to itself": FileFault(linked("eval.json"), Called.UNREACHABLE),
    "a link out of the directory": FileFault(linked("/etc/passwd"), Called.FORBIDDEN),
    "a link to a device": FileFault(linked("/dev/zero"), Called.FORBIDDEN),
    "a link to a process": FileFault(linked("/proc/self/environ"), Called.FORBIDDEN),
    "200 MB": FileFault(sparse, Called.OVERSIZED),
    "one byte too many": FileFault(content(b"[" + b" " * MOST_BYTES), Called.OVERSIZED),
    "too many records": FileFault(content(b"[" + b"1," * 1_000 + b"1]"), Called.OVERSIZED),
    "nothing": FileFault(content(b""), BROKEN),
    "half a document": FileFault(content(document(0.91)[:400]), BROKEN),
    "a page of HTML": FileFault(content(b"<html>"), BROKEN),
    "null": FileFault(content(b"null"), BROKEN),
    "a text": FileFault(content(b'"records"'), BROKEN),
    "NaN": FileFault(content(document(0.91).replace(b"0.91", b"NaN")), BROKEN),
    "Infinity": FileFault(content(document(0.91).replace(b"0.91", b"-Infinity")), BROKEN),
    "100,000 brackets": FileFault(content(b"[" * 100_000), BROKEN),
    "a number of 100,000 digits": FileFault(content(b"[" + b"9" * 100_000 + b"]"), BROKEN),
    "Latin-1": FileFault(content('["Zürich"]'.encode("latin-1")), BROKEN),
    "UTF-16": FileFault(content("[]".encode("utf-16")), BROKEN),
    "a gzip": FileFault(content(b"\x1f\x8b\x08\x00" + bytes(100)), BROKEN),
    "NULs": FileFault(content(bytes(1_000)), BROKEN),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=name) for name, fault in FAULTS.items()],
)
def test_a_file(all_stages: Mapping[Kind, Stage], tmp_path: Path, fault: FileFault) -> None:
    stage, path = all_stages["file"], tmp_path / "eval.json"
    check = stage.check(str(path))
    path.write_bytes(document(0.91))
    before = collect(check)
    assert before.error is None
    path.unlink()

    fault.place(path)
    set_timeout(check, LIMIT)
    outcome = collect(check)

    assert outcome.seconds < LIMIT + MARGIN
    assert isinstance(outcome.error, SourceError)
    assert outcome.error.kind is fault.kind, outcome.message
    assert str(path) in outcome.message
    assert len(outcome.error.remedy) > 20
    assert_fit_for_datadog(outcome)
    assert_nothing_partial(outcome, "file")

    aside = tmp_path / "aside"
    if path.is_symlink() or path.exists():
        path.rename(aside)
    path.write_bytes(document(0.91))
    assert collect(check).figures("") == before.figures("")

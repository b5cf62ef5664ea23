"""Runs the official SDK without a network: `python offline_run.py FOLDER [LABEL]` prints what the run would upload.

The output is JSON: `system`, the last value of each system metric with the prefix that W&B gives it, and `summary`,
nested as the SDK nests it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32_768
HEADER = 7
"""The file is a log as LevelDB writes it: a header of the file, then blocks of chunks, each behind its CRC, length and
kind (1 whole, 2 first, 3 middle, 4 last)."""

DEADLINE = 30.0


def records(data: bytes) -> Iterator[bytes]:
    at, parts = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):
            yield parts
            parts = b""


def uploaded(path: Path) -> dict[str, dict[str, Any]]:
    """What the records of a run's file come to."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, dict[str, Any]] = {"system": {}, "summary": {}}
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.stats.item:
            found["system"][f"system.{item.key}"] = json.loads(item.value_json)
        for item in record.summary.update:
            *outer, last = item.nested_key or [item.key]
            level = found["summary"]
            for key in outer:
                level = level.setdefault(key, {})
            level[last] = json.loads(item.value_json)
    return found


def main(folder: Path, label: str | None) -> None:
    os.environ |= {f"WANDB_{name}_DIR": str(folder) for name in ("CACHE", "CONFIG", "DATA")}
    os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    import wandb

    settings = wandb.Settings(x_stats_sampling_interval=0.1, x_label=label)
    run = wandb.init(project="formats", settings=settings)
    run.define_metric("val/acc", summary="max,min")
    run.log({"val/acc": 0.5, "stats": {"reward": 1.5, "deep": {"er": -2}}, "plain": 3, "dotted.key": 4.5})
    run.log({"val/acc": 0.75, "text": "two\nlines", "page": wandb.Html("<p></p>"), "nan": float("nan"), "on": True})
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    begin = time.monotonic()
    while not uploaded(path)["system"] and time.monotonic() - begin < DEADLINE:
        time.sleep(0.1)
    run.finish()
    sys.__stdout__.write(json.dumps(uploaded(path)))  # type: ignore[union-attr]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)

"""Reads a W&B project with the official SDK, in a process of its own.

The SDK starts a child process, replaces `sys.exit` and writes where it likes, so it is kept out of the command's own
process: `python -P -m metta_checks.cli.wandb_sdk` takes its question on standard input, the API key in it, and
answers there in JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from metta_checks.cli.independent_wandb import ALIVE, SdkRun
from metta_checks.core.decode import parse_json
from metta_checks.core.printable import Scrub, printable, unchanged

PER_PAGE: Final = 200
"""Runs a request. The SDK asks for all of a run, so that larger pages are tens of megabytes."""

LAST_LINE: Final = 300
"""Characters of the SDK's last words that an error repeats."""


class SdkError(Exception):
    """The SDK could not read the project; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which project to read: its runs that have not ended, and those that sent a heartbeat or were created since
    `since` (aware); None for all."""

    base_url: str
    api_key: str = field(repr=False)
    entity: str
    project: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SdkReading:
    """What the SDK returned. `unreadable` are the ids of runs whose metrics it cannot decode; theirs are empty."""

    version: str
    runs: tuple[SdkRun, ...]
    unreadable: frozenset[str]


def is_installed() -> bool:
    """Whether the SDK is there, without importing it."""
    return importlib.util.find_spec("wandb") is not None


def read_project(
    question: Question, *, timeout: float, environment: Mapping[str, str] | None = None, scrub: Scrub = unchanged
) -> SdkReading:
    """All that the SDK returns of the project's runs. `environment` is added to that of this process, and
    `scrub` removes secrets from what the SDK writes.

    Raises SdkError when the SDK fails, and when it takes longer than `timeout` seconds.
    """
    sent = {
        "base_url": question.base_url,
        "api_key": question.api_key,
        "path": f"{question.entity}/{question.project}",
        "since": question.since.timestamp() if question.since else None,
    }
    with tempfile.TemporaryDirectory(prefix="metta-wandb-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 (this very module)
                # Without the working directory on the path: a module there would get the key.
                [sys.executable, "-P", "-m", __name__],
                input=json.dumps(sent),
                env=_environment(folder) | dict(environment or {}),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SdkError(f"the wandb SDK did not finish within {timeout:g} s") from None
    if done.returncode != 0:
        lines = scrub(done.stderr.replace(question.api_key, "***")).strip().splitlines()
        text = printable(lines[-1], LAST_LINE) if lines else "it does not report why"
        raise SdkError(f"the wandb SDK failed: {text}")
    # Half a surrogate pair in a name becomes U+FFFD, as for the checks.
    # What this command's own child process prints is as long as the project is.
    return _reading(parse_json(done.stdout, allow_nan=True, max_values=len(done.stdout) + 1))


def _environment(folder: str) -> dict[str, str]:
    """This process's own, without the SDK's settings, and with all that it writes in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    folders = dict.fromkeys(("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"), folder)
    return kept | folders | {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


def _reading(answer: dict[str, Any]) -> SdkReading:
    # A run that moved while pages were read comes twice.
    runs = {row["id"]: row for row in answer["runs"]}
    return SdkReading(answer["version"], tuple(map(_sdk_run, runs.values())), frozenset(answer["unreadable"]))


def _sdk_run(row: dict[str, Any]) -> SdkRun:
    return SdkRun(**row | {name: _time(row[name]) for name in ("created_at", "heartbeat_at")})


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Runs in the child. A run whose metrics cannot be decoded ends the SDK's quick way, so there is a slow one."""
    import wandb
    from wandb.errors import CommError

    # What it raises where a run's metrics are no JSON object, wrapped or bare.
    undecodable = (CommError, TypeError, ValueError, AttributeError)

    def api() -> Any:
        # A new one each time: it remembers listings, broken ones too.
        return wandb.Api(overrides={"base_url": asked["base_url"]}, api_key=asked["api_key"], timeout=60)

    unreadable: list[str] = []
    try:
        rows = [_row(run, run) for run in _runs(api(), asked, lazy=False)]
    except undecodable:
        rows = []
        for run in _runs(api(), asked, lazy=True):
            try:
                rows.append(_row(run, run))
            except undecodable:
                rows.append(_row(run, None))
                unreadable.append(run.id)
    return {"version": wandb.__version__, "runs": rows, "unreadable": unreadable}


def _runs(api: Any, asked: Mapping[str, Any], *, lazy: bool) -> Iterator[Any]:
    """The runs in question. Recent ones, by heartbeat and by creation, come from the heads of two orders and not from a
    filter, so that the check's filter is tested too."""
    options = {"per_page": PER_PAGE, "lazy": lazy}
    if asked["since"] is None:
        yield from api.runs(asked["path"], **options)
        return
    for name in ("heartbeat_at", "created_at"):
        for run in api.runs(asked["path"], order=f"-{name}", **options):
            moment = _time(getattr(run, name))
            if moment is None or moment.timestamp() < asked["since"]:
                break
            yield run
    yield from api.runs(asked["path"], filters={"state": {"$in": list(ALIVE)}}, **options)


def _row(run: Any, metrics: Any) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "created_at": run.created_at,
        "heartbeat_at": run.heartbeat_at,
        "sweep": run.sweep_name,
        "group": run.group,
        "job_type": run.job_type,
        "user": run.user.username if run.user else None,
        "summary": dict(metrics.summary_metrics) if metrics else {},
        "system": dict(metrics.system_metrics) if metrics else {},
    }


if __name__ == "__main__":
    answered = sys.stdout
    sys.stdout = sys.stderr
    json.dump(_answer(json.load(sys.stdin)), answered)

"""Runs a check as the Agent would, and reads what the Agent would have received and what the check logs."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from traceback import format_exception
from typing import Any, Literal

from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import aggregator, datadog_agent

from metta_checks.cli.agent_config import with_variables
from metta_checks.cli.terminal import echo
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import agent_tags
from metta_checks.core.clock import utcnow
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.errors import CredentialError, SourceError, error_text, is_for_operator
from metta_checks.core.sample import SampleKind
from metta_checks.core.target import Target

Failure = Literal["configuration", "collection"]

_SILENT = logging.NullHandler()


@dataclass(frozen=True, slots=True)
class Series:
    """One submitted figure, its tags sorted."""

    metric: str
    kind: SampleKind
    value: float
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One collection of one instance, counted from 1. `traceback` is empty unless it failed; `at` is UTC.

    `lacks_credential` is set where it failed for want of a credential, or of a good one.
    """

    instance: int
    collection: int
    failure: Failure | None
    error: str | None
    traceback: str
    warnings: tuple[str, ...]
    duration_seconds: float
    requests: int
    series: tuple[Series, ...]
    events: tuple[Mapping[str, Any], ...]
    lacks_credential: bool = False
    at: datetime = field(default_factory=utcnow)

    @property
    def ok(self) -> bool:
        return self.failure is None


def prepare_stubs() -> None:
    """Make the Agent's stand-ins behave like an Agent on this machine. Outside of the Agent only."""
    # The stand-in refuses `env:` and the like, which the real submission path takes from every instance.
    os.environ["DDEV_SKIP_GENERIC_TAGS_CHECK"] = "true"
    # Without a handler, Python writes warnings to standard error; those of a check are in its report.
    logging.getLogger("datadog_checks").addHandler(_SILENT)
    datadog_agent.set_hostname(os.environ.get("DD_HOSTNAME") or socket.gethostname())


def new_check(definition: CheckDefinition, init_config: Mapping[str, Any], instance: Mapping[str, Any]) -> MettaCheck:
    """The check object for one instance, as the Agent makes it."""
    options, shared = with_variables(instance), with_variables(init_config)
    check = definition.check_class()(name=definition.name, init_config=shared, instances=[options])
    # No Agent flushes sketches here.
    check.pause = lambda _: None
    return check


def discovered(check: MettaCheck) -> Sequence[Target]:
    """The targets of a check with discovery, read from the source's list.

    Raises ConfigurationError, CredentialError and SourceError.
    """
    with check.transport.during(check.collection):
        return check.find_targets(check.clock()).targets


def refused(error: Exception, *, instance: int) -> CheckOutcome:
    """What becomes of an instance that the check's constructor does not take: no collection at all."""
    return CheckOutcome(
        instance=instance,
        collection=1,
        failure="configuration",
        error=error_text(error),
        traceback="".join(format_exception(error)),
        warnings=(),
        duration_seconds=0.0,
        requests=0,
        series=(),
        events=(),
    )


def collections(check: MettaCheck, *, instance: int, repeat: int, pause: float) -> Iterator[CheckOutcome]:
    """`repeat` collections of one check object, `pause` seconds apart."""
    for number in range(1, repeat + 1):
        if number > 1:
            time.sleep(pause)
        yield run_once(check, instance=instance, collection=number)


def run_once(check: MettaCheck, *, instance: int, collection: int) -> CheckOutcome:
    """One collection through `AgentCheck.run()`."""
    aggregator.reset()
    started = time.monotonic()
    report = json.loads(check.run() or "[]")
    duration = time.monotonic() - started
    error = check.collection.error
    unread = None if report else _nothing_read(check)
    return CheckOutcome(
        instance=instance,
        collection=collection,
        failure="collection" if unread else _failure(error, report),
        error=unread or _reported(error, report),
        traceback=report[0]["traceback"] if report else "",
        warnings=tuple(check.get_warnings()),
        duration_seconds=duration,
        requests=check.collection.requests,
        series=tuple(_received(check)),
        events=tuple(aggregator.events),
        lacks_credential=_lacks_credential(error),
        at=check.collection.now,
    )


def _lacks_credential(error: Exception | None) -> bool:
    return isinstance(error, CredentialError) or (isinstance(error, SourceError) and error.refuses_credential)


def _nothing_read(check: MettaCheck) -> str | None:
    """Why a collection without an error read no target: the Agent shows a warning and `metta.check.up` 0 then."""
    found = check.collection.target_list
    if found.targets or found.gone:
        return None
    return check.printable(f"nothing was read: {'; '.join(found.warnings) or 'there is no target'}")


def _reported(error: Exception | None, report: list[Any]) -> str | None:
    if not report:
        return None
    message: str = report[0]["message"]
    # A stray KeyError's text is one quoted word.
    return message if error is None or is_for_operator(error) else f"{type(error).__name__}: {message}"


def _failure(error: Exception | None, report: list[Any]) -> Failure | None:
    if not report:
        return None
    return "configuration" if isinstance(error, ConfigurationError) else "collection"


def _received(check: MettaCheck) -> list[Series]:
    """What reached the aggregator: of a gauge the last value per series, of a distribution every point."""
    added = agent_tags(check.instance, check.init_config)
    gauges: dict[tuple[str, tuple[str, ...]], float] = {}
    for name in aggregator.metric_names:
        for stub in aggregator.metrics(name):
            gauges[name, tuple(sorted({*stub.tags, *added}))] = float(stub.value)
    received = [Series(name, "gauge", value, tags) for (name, tags), value in gauges.items()]
    for name, buckets in aggregator._histogram_buckets.items():
        for bucket in buckets:
            tags = tuple(sorted({*bucket.tags, *added}))
            received.append(Series(name, "distribution", float(bucket.lower_bound), tags))
    return sorted(received, key=lambda series: (series.metric, series.tags, series.value))


class _Echo(logging.Handler):
    """Only of the check's own logger: others, that of the AWS client among them, write secrets down at this level."""

    def __init__(self, check: MettaCheck) -> None:
        super().__init__()
        self._check = check

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()}: {self.format(record)}"
        echo(self._check.sanitize(line), err=True)


@contextmanager
def log_shown(check: MettaCheck) -> Iterator[None]:
    """Shows what `check` logs in the block, from debug level on, with its secrets blacked out."""
    logger, echo = check.log.logger, _Echo(check)
    level = logger.level
    logger.addHandler(echo)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(echo)

"""The base of every check: collect all or nothing, commit, submit, and say how it went."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from math import isfinite
from typing import Any, ClassVar, Final

from datadog_checks.base import AgentCheck

from metta_checks.core.clock import Clock, utcnow
from metta_checks.core.collection import Collection, Reason
from metta_checks.core.deadline import Deadline
from metta_checks.core.environment import NO_VARIABLES, Variables, with_environment
from metta_checks.core.sample import Sample
from metta_checks.core.state import identity_hash
from metta_checks.core.tags import keys_of, tag
from metta_checks.core.transport import Transport

try:
    import datadog_agent
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that a collection has until its own `collection_timeout` is known."""


class MettaCheck(AgentCheck, ABC):
    """A check that says what it saw through `collect(now)`; everything else happens here.

    One collection: the deadline starts, `collect` is read to its end, `commit` persists state, the samples are
    submitted, and `metta.check.*` tells how it went. When anything raises, nothing of the collection is submitted
    but `failure_samples`, `metta.check.up` is 0, and the exception goes on to `agent status`.
    """

    SOURCE: ClassVar[str] = "source"
    """The name of the API in messages."""

    VARIABLES: ClassVar[Variables] = NO_VARIABLES
    """Which environment variables stand in for which options."""

    def __init__(
        self, name: str, init_config: Mapping[str, Any] | None, instances: Sequence[Mapping[str, Any]]
    ) -> None:
        given = instances[0] if instances else None
        super().__init__(name, dict(init_config or {}), [with_environment(given or {}, self.VARIABLES)])
        self.clock: Clock = utcnow
        self.collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        # Run inside the collection instead, so that a bad option shows as `up 0` like any other failure.
        self._initializations, self.check_initializations = self.check_initializations, deque()

    @abstractmethod
    def collect(self, now: datetime) -> Iterator[Sample]:
        """All samples of one collection at `now` (aware, UTC). Raises when the source cannot be read whole.

        It must not change what the check remembers: that is for `commit`, which is not called after an error.
        """

    def commit(self) -> None:
        """Keep what this collection learnt; called once all of it is there, before anything is submitted."""
        return

    def failure_samples(self, error: Exception) -> Iterable[Sample]:
        """Samples that tell of a failed collection, beside the telemetry."""
        return ()

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The resolved options that say what this instance watches; its state belongs to them."""

    def identity_tags(self) -> tuple[str, ...]:
        """The tags that tell this instance's telemetry from its siblings'."""
        return ()

    def persistent_cache_id(self) -> str:
        """An id that follows what is watched, not how the file around it looks."""
        return identity_hash(self.name, self.identity())

    @property
    def options(self) -> Any:
        """The validated instance options: the generated model."""
        return self._config_model_instance

    @cached_property
    def transport(self) -> Transport:
        """HTTP to the source, bounded by the running collection."""
        return Transport(self.http, self.SOURCE, max_bytes=self.max_answer_bytes())

    def max_answer_bytes(self) -> int:
        """The largest answer that is read, in bytes."""
        return int(self.options.max_response_bytes)

    @cached_property
    def instance_tags(self) -> tuple[str, ...]:
        """What every sample carries: the instance's tags verbatim, and the unified ones that they leave open.

        The Agent adds `service:` from the instance by itself, but `env:` only to metrics with a host, which these
        do not have.
        """
        configured = self.instance.get("tags")
        given = tuple(text for text in configured if isinstance(text, str)) if isinstance(configured, list) else ()
        unified = {
            "env": datadog_agent.get_config("env") or os.environ.get("DD_ENV"),
            "version": os.environ.get("DD_VERSION"),
            "service": None if self.instance.get("service") else os.environ.get("DD_SERVICE"),
        }
        present = keys_of(given)
        return given + tuple(tag(key, value) for key, value in unified.items() if value and key not in present)

    def check(self, _: Any) -> None:
        """One collection, as the Agent asks for it."""
        self.collection = collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        try:
            samples = self._gather(collection)
            self.commit()
        except Exception as error:
            collection.error = error
            self._finish(collection, self._samples_of_failure(error), up=False)
            raise
        self._finish(collection, samples, up=True)

    def _gather(self, collection: Collection) -> list[Sample]:
        while self._initializations:
            self._initializations[0]()
            self._initializations.popleft()
        collection.deadline = Deadline(float(self.options.collection_timeout))
        with self.transport.during(collection):
            gathered = list(self.collect(collection.now))
        finite = [sample for sample in gathered if isfinite(sample.value)]
        collection.drop(Reason.NOT_FINITE, len(gathered) - len(finite))
        return finite

    def _samples_of_failure(self, error: Exception) -> list[Sample]:
        try:
            return list(self.failure_samples(error))
        except Exception:
            # It speaks of options that may be what is wrong; the first error is the one to show.
            self.log.debug("no samples for the failure", exc_info=True)
            return []

    def _finish(self, collection: Collection, samples: Sequence[Sample], *, up: bool) -> None:
        common = self.instance_tags
        for sample in samples:
            self._submit(sample, common)
        for event in collection.events if up else ():
            self.event(
                {
                    "timestamp": int(collection.now.timestamp()),
                    "event_type": self.name,
                    "source_type_name": self.name,
                    "msg_title": event.title,
                    "msg_text": event.text,
                    "aggregation_key": event.aggregation_key,
                    "alert_type": event.alert_type,
                    "host": "",
                    "tags": [*event.tags, *common],
                }
            )
        series = len({(sample.name, sample.tags) for sample in samples if sample.kind == "gauge"})
        for sample in collection.telemetry(up=up, series=series, tags=self._telemetry_tags()):
            self._submit(sample, common)

    def _submit(self, sample: Sample, common: tuple[str, ...]) -> None:
        tags = [*sample.tags, *common]
        if sample.kind == "gauge":
            self.gauge(sample.name, sample.value, tags=tags)
        else:
            self.submit_histogram_bucket(sample.name, 1, sample.value, sample.value, False, None, tags)

    def _telemetry_tags(self) -> tuple[str, ...]:
        try:
            identity = self.identity_tags()
        except Exception:
            # The options that make the identity may be the very ones that do not hold.
            identity = ()
        return (tag("check_name", self.name), tag("runner", datadog_agent.get_hostname()), *identity)

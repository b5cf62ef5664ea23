"""A real check, as small as one can be: it hands on the samples that its source lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from metta_checks.core import Event, MettaCheck, Sample, tag
from metta_checks.core.environment import Variable, Variables
from metta_checks.core.state import Store


class ProbeCheck(MettaCheck):
    """Reads a JSON list of samples from each of `paths`, and counts its collections in the persistent cache."""

    SOURCE = "Probe"
    VARIABLES: ClassVar[Variables] = {"url": Variable("PROBE_URL"), "paths": Variable("PROBE_PATHS", "list")}

    def identity(self) -> Mapping[str, str]:
        return {"url": self.options.url, "paths": " ".join(self.options.paths)}

    def identity_tags(self) -> tuple[str, ...]:
        return tuple(tag("path", path) for path in self.options.paths)

    def collect(self, now: datetime) -> Iterator[Sample]:
        self.learnt = (self.store.load() or 0) + 1
        for path in self.options.paths:
            answer = self.transport.send("GET", f"{self.options.url}{path}", about=path)
            for item in answer.json():
                yield Sample(item["name"], item["value"], tuple(item.get("tags", ())), item.get("kind", "gauge"))
        yield Sample("probe.collections", self.learnt, ())
        self.collection.events.append(Event("Probed", f"at {now:%H:%M}", ("color:blue",), "probe", "success"))

    def commit(self) -> None:
        self.store.save(self.learnt)

    def failure_samples(self, error: Exception) -> Iterable[Sample]:
        yield Sample("probe.blind", 1, (tag("error", type(error).__name__),))

    @property
    def store(self) -> Store:
        return Store(self, "collections", 1)

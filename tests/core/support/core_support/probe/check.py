"""A real check, as small as one can be: its samples are those that its source lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from metta_checks.core import Event, MettaCheck, Result, Sample, Target, tag
from metta_checks.core.environment import Variable, Variables
from metta_checks.core.state import StateFormat, TargetStates


class ProbeCheck(MettaCheck):
    """Reads a JSON list of samples from each of `paths`, and counts its collections in the persistent cache.

    With `each`, every path is a target of its own.
    """

    SOURCE = "Probe"
    VARIABLES: ClassVar[Variables] = {"url": Variable("PROBE_URL"), "paths": Variable("PROBE_PATHS", "list")}

    def targets(self) -> Sequence[Target]:
        paths = [(path,) for path in self.config.paths] if self.discovers else [tuple(self.config.paths)]
        return [
            Target(
                f"path {' '.join(some)}",
                {"url": self.config.url, "paths": " ".join(some)},
                tuple(tag("path", path) for path in some),
            )
            for some in paths
        ]

    def read(self, target: Target, now: datetime) -> Result:
        collections = self.states.of(target) + 1
        samples = []
        for path in target.identity["paths"].split():
            answer = self.transport.send("GET", f"{self.config.url}{path}", about=path)
            for item in answer.json():
                kind = item.get("kind", "gauge")
                samples.append(Sample(item["name"], item["value"], tuple(item.get("tags", ())), kind))
        own = target.tags if self.discovers else ()
        samples.append(Sample("probe.collections", collections, own))
        event = Event("Probed", f"at {now:%H:%M}", ("color:blue", *own), "probe", "success")
        return Result(target, samples, [event], state=collections)

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:
        own = target.tags if self.discovers else ()
        return Result(target, [Sample("probe.blind", 1, (tag("error", type(error).__name__), *own))], error=error)

    @cached_property
    def states(self) -> TargetStates[int]:
        return self.new_states(int, StateFormat("collections", 1, lambda count, _: count, lambda found: found))

    @property
    def discovers(self) -> bool:
        return bool(self.instance.get("each"))

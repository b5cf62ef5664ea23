"""What is measured: ways of reading a W&B project, each in a process of its own.

`python clients.py WAY URL KEY ENTITY PROJECT OPTIONS`, where OPTIONS are those of the check, in JSON. Imports come
first; then each line on standard input is one more reading, and each reading one line of JSON on standard output.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

KEYS = (
    "overview/reward",
    "env_agent/heart.gained",
    "skypilot/queue_latency_s",
    "overview/steps_per_second",
    "overview/sps",
)
"""What the check asks for unless its options say otherwise."""

QUERY = """
query Runs($entity: String!, $project: String!, $filters: JSONString!, $keys: [String!]) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: 1000) {
      edges { node {
        id name displayName state createdAt heartbeatAt sweepName group jobType
        summaryMetrics(keys: $keys) systemMetrics
      } }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


class Where(NamedTuple):
    """The project, and what shows that one may read it."""

    url: str
    key: str
    entity: str
    project: str


class Way(Protocol):
    """A way of reading. `read` is what is timed; `after` may measure something else, and comes after it."""

    def read(self) -> dict[str, Any]: ...

    def after(self) -> dict[str, Any]: ...


class SdkLoop:
    """The SDK as its documentation shows it."""

    OPTIONS: ClassVar[dict[str, Any]] = {}

    def __init__(self, where: Where, _: dict[str, Any]) -> None:
        import wandb

        self._api = lambda: wandb.Api(overrides={"base_url": where.url}, api_key=where.key)
        self._path = f"{where.entity}/{where.project}"

    def read(self) -> dict[str, Any]:
        runs = [
            (run.id, run.name, run.state, run.created_at, [run.summary.get(key) for key in KEYS], run.system_metrics)
            for run in self._api().runs(self._path, **self.OPTIONS)
        ]
        return {"runs": len(runs)}

    def after(self) -> dict[str, Any]:
        return {}


class SdkFull(SdkLoop):
    """The SDK told to fetch whole runs with each page."""

    OPTIONS: ClassVar[dict[str, Any]] = {"lazy": False}


class BareRequest:
    """One slim query through `requests`, decoded once, and nothing made of it."""

    def __init__(self, where: Where, _: dict[str, Any]) -> None:
        import requests

        # Every run of the benchmark is active: asking for all is asking for those.
        variables = {"entity": where.entity, "project": where.project, "filters": "{}", "keys": KEYS}
        sent = {"query": QUERY, "variables": variables}
        self._post = lambda: requests.post(f"{where.url}/graphql", auth=("api", where.key), json=sent, timeout=60)

    def read(self) -> dict[str, Any]:
        return {"runs": len(self._post().json()["data"]["project"]["runs"]["edges"])}

    def after(self) -> dict[str, Any]:
        return {}


class OurCheck:
    """The check, as the Agent runs it; after each collection the bare submission of the same samples."""

    def __init__(self, where: Where, options: dict[str, Any]) -> None:
        from datadog_checks.base.stubs import aggregator

        from metta_checks.wandb.check import WandbCheck

        # The stub refuses `env:` and the like unless it is told not to.
        os.environ["DDEV_SKIP_GENERIC_TAGS_CHECK"] = "true"
        self._aggregator = aggregator
        self._made: Any = None
        # An instance has one project or a list of them.
        named = {} if "projects" in options else {"project": where.project}
        self._make = lambda: WandbCheck(
            name="metta_wandb",
            init_config={},
            instances=[
                {
                    "entity": where.entity,
                    **named,
                    "base_url": where.url,
                    "api_key": where.key,
                    "tags": ["env:prod", "team:research"],
                    # All is plain HTTP on loopback; the bare request does not load any certificates either.
                    "tls_verify": False,
                    **options,
                }
            ],
        )
        self._samples: list[Any] = []
        self._submission = 0.0

    def read(self) -> dict[str, Any]:
        if self._made is None:
            self._made = self._make()
            self._time_submission(self._made)
        report = self._made.run()
        if report:
            raise RuntimeError(report)
        return {"samples": len(self._samples), "submission": self._submission}

    def after(self) -> dict[str, Any]:
        """The bare submission, best of three, on the heap that the collection left."""
        check, best = self._made, float("inf")
        for _ in range(3):
            self._aggregator.reset()
            started = time.process_time()
            for sample in self._samples:
                check.gauge(sample.name, sample.value, tags=[*sample.tags, *check.instance_tags])
            best = min(best, time.process_time() - started)
        self._aggregator.reset()
        self._samples, self._submission = [], 0.0
        return {"bare_submission": best}

    def _time_submission(self, check: Any) -> None:
        from metta_checks.core.submission import Submission

        submit = Submission.samples

        def timed(submission: Submission, samples: Any) -> Any:
            samples = list(samples)
            started = time.process_time()
            submitted = submit(submission, samples)
            self._submission += time.process_time() - started
            self._samples.extend(samples)
            return submitted

        Submission.samples = timed
        # No Agent flushes sketches here.
        check.pause = lambda _: None


class QuietCheck(OurCheck):
    """The check as an Agent has it, which keeps the gauges outside of Python: here nobody does."""

    def _time_submission(self, check: Any) -> None:
        check.gauge = lambda *_, **__: None
        check.pause = lambda _: None

    def after(self) -> dict[str, Any]:
        self._aggregator.reset()
        return {}


WAYS = {way.__name__: way for way in (SdkLoop, SdkFull, BareRequest, OurCheck, QuietCheck)}


def readings(way: Way) -> Iterator[dict[str, Any]]:
    """Wall and CPU seconds of a reading, the highest resident memory so far, and what the way adds."""
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        more = way.read()
        figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak_mb": memory_mb("VmHWM")}
        yield figures | more | way.after()


def memory_mb(field: str) -> float:
    """`VmRSS`, the resident memory now, or `VmHWM`, the most there has been."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    told = sys.stdout
    # What the SDK writes there would be taken for an answer.
    sys.stdout = sys.stderr
    chosen = WAYS[sys.argv[1]](Where(*sys.argv[2:6]), json.loads(sys.argv[6]))
    # A long-lived process has done with what its imports left to clear up; no reading should have to.
    gc.collect()
    told.write(json.dumps({"imported_mb": memory_mb("VmRSS")}) + "\n")
    told.flush()
    for figures in readings(chosen):
        told.write(json.dumps(figures) + "\n")
        told.flush()

"""A script for any Python: runs checks as the Agent loads them, by shims from a folder at the end of the search path.

`python as_agent.py CHECKS_D MOMENT` reads `{check name: instance}` as JSON from standard input, and collects as of
MOMENT (ISO 8601): figures at the edge of a window move with the clock. It prints where the package came from, and for
each check its version, its error and its series as `[kind, metric, tags]`.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import Any

from datadog_checks.base import AgentCheck
from datadog_checks.base.stubs import aggregator


def main() -> None:
    sys.path.append(sys.argv[1])
    instances = json.load(sys.stdin)
    moment = datetime.fromisoformat(sys.argv[2])
    checks = {name: outcome(import_module(name), instance, moment) for name, instance in instances.items()}
    package = sys.modules["metta_checks"].__file__
    json.dump({"package": package, "python": sys.version_info[:2], "checks": checks}, sys.stdout)


def outcome(shim: ModuleType, instance: dict[str, Any], moment: datetime) -> dict[str, Any]:
    aggregator.reset()
    check: Any = check_class(shim)(name=shim.__name__, init_config={}, instances=[instance])
    check.clock = lambda: moment
    error = check.run()
    return {"version": shim.__version__, "error": error, "series": sorted(series())}


def check_class(shim: ModuleType) -> type[AgentCheck]:
    """The class that the Agent takes."""
    for name in sorted(dir(shim)):
        found = getattr(shim, name)
        if isinstance(found, type) and issubclass(found, AgentCheck) and not found.__subclasses__():
            return found
    raise LookupError(f"{shim.__name__} holds no check")


def series() -> list[tuple[str, str, list[str]]]:
    gauges = [
        ("gauge", one.name, sorted(one.tags)) for name in aggregator.metric_names for one in aggregator.metrics(name)
    ]
    points = [
        ("distribution", name, sorted(one.tags))
        for name, buckets in aggregator._histogram_buckets.items()
        for one in buckets
    ]
    return gauges + points


if __name__ == "__main__":
    main()

"""What metta_training and metta_eval cost."""

from __future__ import annotations

from typing import Any, Final

from metta_checks.core.cost import TELEMETRY, Cost, Formula, Item, Requests, Workload, collections_an_hour

WALL: Final = ("state", "status", "value", "target", "age_seconds")


def cost(options: Any, workload: Workload) -> Cost:
    """Every record has its own series and five of the wall's; the instance has `data_missing`.

    A record whose tags change with each publication, such as a commit, is another series with each.
    """
    items = (
        Item("the records' metrics", workload.records),
        *(Item(f"metta.infra.health.{name}", workload.records) for name in WALL),
        Item("metta.infra.health.data_missing", 1),
        Item("metta.check.*", TELEMETRY),
    )
    requests = Requests(collections_an_hour(options), None, "one for each document; an unchanged one is not sent again")
    return Cost(items, requests, f"{workload.records:,} records")


FORMULA: Final = Formula(cost, ())

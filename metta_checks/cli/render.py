"""Collections as a person or a program reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from metta_checks.cli.dogstatsd import DogstatsdAddress, Sent
from metta_checks.cli.runner import CheckOutcome, Series
from metta_checks.cli.terminal import columns, in_columns, wrapped

EXAMPLES: Final = 2
"""Series that are shown of each metric, unless all are asked for."""


def outcomes_json(check_name: str, outcomes: Iterable[CheckOutcome], *, indent: int | None = 1) -> str:
    """One JSON document about one check: instances outermost, then collections; tags sorted.

    A collection has the key `events` only when it sent some. Without `indent` the text is one line, and made many times
    faster.
    """
    document = {"check": check_name, "collections": [_outcome_json(outcome) for outcome in outcomes]}
    return json.dumps(document, indent=indent)


def document_json(outcomes: Mapping[str, Sequence[CheckOutcome]]) -> str:
    """The document of one check as an object, those of several as a list; each as `outcomes_json` has it."""
    documents = [outcomes_json(name, some) for name, some in outcomes.items()]
    return documents[0] if len(documents) == 1 else "[\n" + ",\n".join(documents) + "\n]"


def outcome_text(check_name: str, outcome: CheckOutcome, *, every_series: bool) -> Iterator[str]:
    """One collection as lines that fit the terminal: a headline, then a table of the metrics."""
    gauges = sum(series.kind == "gauge" for series in outcome.series)
    points = len(outcome.series) - gauges
    parts = [
        "ok" if outcome.ok else "FAILED",
        _plural(gauges, "series", "series"),
        *([_plural(points, "distribution point", "distribution points")] if points else []),
        *([_plural(len(outcome.events), "event", "events")] if outcome.events else []),
        _plural(outcome.requests, "request", "requests"),
        f"{outcome.duration_seconds:.2f} s",
    ]
    yield from wrapped(
        f"{check_name}, instance {outcome.instance}, collection {outcome.collection}: {', '.join(parts)}"
    )
    for warning in outcome.warnings:
        yield from wrapped(f"warning: {warning}", indent="  ")
    shown = outcome.series if outcome.ok or every_series else [*filter(_is_telling, outcome.series)]
    yield from _table(shown, every_series=every_series)
    if left_out := len(outcome.series) - len(shown):
        yield from wrapped(f"and {left_out:,} more series of metta.check.*; --verbose shows all", indent="  ")


def sent_text(sent: Sent, destination: DogstatsdAddress, events: int) -> Iterator[str]:
    """What was pushed, in lines that fit the terminal."""
    parts = [_plural(sent.gauges, "series", "series")]
    if sent.points:
        parts.append(_plural(sent.points, "distribution point", "distribution points"))
    text = f"pushed {' and '.join(parts)} in {_plural(sent.datagrams, 'datagram', 'datagrams')} to {destination}"
    if destination.socket_path is None:
        text += "; UDP gives no receipt, so look for them in Datadog"
    yield from wrapped(text, indent="  ")
    if sent.too_long:
        yield from wrapped(
            f"not pushed: {_plural(sent.too_long, 'series', 'series')} with longer tags than fit", indent="  "
        )
    if events:
        yield from wrapped(f"not pushed: {_plural(events, 'event', 'events')}; only figures are", indent="  ")


def _outcome_json(outcome: CheckOutcome) -> dict[str, Any]:
    document: dict[str, Any] = {
        "instance": outcome.instance,
        "collection": outcome.collection,
        "at": outcome.at.isoformat(timespec="seconds"),
        "ok": outcome.ok,
        "error": outcome.error,
        "warnings": list(outcome.warnings),
        "duration_seconds": round(outcome.duration_seconds, 3),
        "requests": outcome.requests,
        "metrics": [
            {"metric": series.metric, "type": series.kind, "value": series.value, "tags": list(series.tags)}
            for series in outcome.series
        ],
    }
    if outcome.events:
        document["events"] = [dict(event) for event in outcome.events]
    return document


def _table(all_series: Sequence[Series], *, every_series: bool) -> Iterator[str]:
    if not all_series:
        return
    shared = set[str].intersection(*(set(series.tags) for series in all_series))
    if shared:
        yield from wrapped(f"on every series: {' '.join(sorted(shared))}", indent="  ")
    for (metric, kind), group in groupby(all_series, key=lambda series: (series.metric, series.kind)):
        members = list(group)
        units = ("series", "series") if kind == "gauge" else ("point", "points")
        cells = ((kind, "<13"), (_plural(len(members), *units), ">12"), (f" {_span(members)}", ""))
        yield from in_columns(metric, cells, width=44)
        for series in members if every_series else members[:EXAMPLES]:
            own = " ".join(text for text in series.tags if text not in shared)
            yield from _example(f"    {number_text(series.value):>12}  ", own, whole=every_series)
        if not every_series and len(members) > EXAMPLES:
            yield f"    {'':>12}  and {len(members) - EXAMPLES:,} more; --verbose shows all"


def _is_telling(series: Series) -> bool:
    """Whether a series of a collection that failed is more than the telemetry of every one."""
    return series.metric == "metta.check.up" or not series.metric.startswith("metta.check.")


def _span(members: Sequence[Series]) -> str:
    values = [series.value for series in members]
    return f"{number_text(min(values))} … {number_text(max(values))}" if len(values) > EXAMPLES else ""


def _example(start: str, tags: str, *, whole: bool) -> Iterator[str]:
    """`start` and the tags; on a terminal cut with an ellipsis, unless they are wanted `whole`."""
    width = columns()
    room = None if whole or width is None else max(width - len(start), 8)
    yield (start + (tags if room is None or len(tags) <= room else tags[: room - 1] + "…")).rstrip()


def number_text(value: float) -> str:
    """A figure in a few characters."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"

"""The matrix turned round: what shields a check from a fault taken away, so that the row for it has to fail.

Each function below stands for one protection and takes it out of the product, as somebody might who finds it
superfluous. A row names its protection with `protected_by`; `--without-protections` runs every row without its own.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin

import pytest

from metta_checks.ci import api_models, graphql, ledger, pages, workflows
from metta_checks.core import transport
from metta_checks.core.options_loader import OptionsLoader
from metta_checks.health import document, local, s3_errors
from metta_checks.health.check import HealthCheck
from metta_checks.wandb import client, registry
from metta_checks.wandb import listing as wandb_listing

Take = Callable[[pytest.MonkeyPatch], None]
Switch = Callable[[], AbstractContextManager[None]]


class UnforeseenError(Exception):
    """Stands for an error that nobody put into words."""

    def __init__(self, *arguments: object, **_: object) -> None:
        super().__init__("unforeseen")


def deadline(patch: pytest.MonkeyPatch) -> None:
    """The collection's time is not bounded; for the test's sake it is, by more than a row allows."""
    patch.setattr(OptionsLoader, "timeout", lambda _: 4.0)


def named_faults(patch: pytest.MonkeyPatch) -> None:
    """What the libraries below raise goes on to the operator as it is."""
    patch.setattr(transport, "fault_of", lambda error, *_: error)
    patch.setattr(s3_errors, "s3_error", lambda error, *_: error)
    patch.setattr(local, "os_fault", lambda error, _: error)


def statuses(patch: pytest.MonkeyPatch) -> None:
    """Whatever the status says, the answer is read."""
    patch.setattr(transport, "_is_good", lambda _, conditional: True)
    patch.setattr(s3_errors, "s3_error", lambda error, *_: error)


def own_server(patch: pytest.MonkeyPatch) -> None:
    """Redirects are followed wherever they lead, for as long as they do."""
    statuses(patch)
    patch.setattr(transport, "same_server", urljoin)
    patch.setattr(transport, "MAX_REDIRECTS", 10**6)


def parsing(patch: pytest.MonkeyPatch) -> None:
    """JSON is read without bounds on its depth, and its shape is believed."""
    patch.setattr(transport.Response, "json", lambda answer: json.loads(answer.body))
    patch.setattr(transport.Response, "model", lambda answer, model, **_: model.model_validate(json.loads(answer.body)))
    patch.setattr(client, "_malformed", UnforeseenError)
    patch.setattr(api_models, "_parse", lambda answer, model: model.model_validate(json.loads(answer.body)))
    patch.setattr(graphql, "SourceError", UnforeseenError)
    patch.setattr(document, "parse_json", lambda data, **_: json.loads(data))
    patch.setattr(document, "parse_record", document.Record.model_validate)
    patch.setattr(document, "SourceError", UnforeseenError)


def size(patch: pytest.MonkeyPatch) -> None:
    """An answer is read whole, whatever its size and however it is compressed."""
    patch.setattr(transport.Transport, "_read", lambda _, response, __: response.content)
    collect = HealthCheck.collect

    def collect_all(check: HealthCheck, now: datetime) -> Iterator[Any]:
        check.__dict__["_limits"] = document.Limits(10**12, 10**12)
        return collect(check, now)

    patch.setattr(HealthCheck, "collect", collect_all)


def links(patch: pytest.MonkeyPatch) -> None:
    """A path is opened, whatever it leads to."""
    patch.setattr(local, "_open_inside", lambda _, path, __: os.open(path, os.O_RDONLY))
    patch.setattr(local, "_require_regular", lambda *_: None)


def whole_listings(patch: pytest.MonkeyPatch) -> None:
    """A listing is believed: what it says twice counts twice, and it ends where it says."""
    patch.setattr(wandb_listing.RunListings, "read", _every_run)
    patch.setattr(pages.RunPages, "of_range", _until_total)
    patch.setattr(ledger.Ledger, "admit", _admit_each)
    patch.setattr(workflows, "refresh", _every_workflow)
    patch.setattr(OptionsLoader, "timeout", lambda _: 3.0)


def page_limit(patch: pytest.MonkeyPatch) -> None:
    """As many pages as a listing promises."""
    patch.setattr(pages.RunPages, "_page", _without_limit(pages.RunPages._page))


def told_once(patch: pytest.MonkeyPatch) -> None:
    """It is not remembered whose end was told; a health check goes on with the time that it began with."""
    patch.setattr(registry, "_had_ended_before", lambda *_: False)
    refreshed = registry.refreshed
    patch.setattr(
        "metta_checks.wandb.check.refreshed",
        lambda known, *rest, **options: refreshed(replace(known, reported={}, ended_seen={}), *rest, **options),
    )
    patch.setattr(
        ledger.Ledger,
        "newly_completed",
        lambda self, *_: (known.run for known in self.runs.values() if known.run.conclusion is not None),
    )
    times: list[datetime] = []
    collect = HealthCheck.collect

    def collect_then(check: HealthCheck, now: datetime) -> Iterator[Any]:
        times.append(now)
        return collect(check, times[0])

    patch.setattr(HealthCheck, "collect", collect_then)


PROTECTIONS: Final[Mapping[str, Take]] = {
    take.__name__: take
    for take in (
        deadline,
        named_faults,
        statuses,
        own_server,
        parsing,
        size,
        links,
        whole_listings,
        page_limit,
        told_once,
    )
}


def without(*names: str) -> Switch:
    """A context in which the protections of these names are away."""
    return partial(_without, [PROTECTIONS[name] for name in names])


@contextmanager
def _without(protections: Iterable[Take]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for take in protections:
            take(patch)
        yield


def _every_run(
    self: wandb_listing.RunListings, asked: wandb_listing.Asked, first_page: Any = None
) -> wandb_listing.RunListing:
    found, numbers = {}, itertools.count()
    cursor = None
    while True:
        page = self._page(asked, cursor) if first_page is None or cursor else first_page
        for edge in page.runs.edges:
            found[f"{edge['node']['name']} {next(numbers)}"] = self._reader.run(edge["node"])
        cursor = page.runs.pageInfo.endCursor
        if not page.runs.pageInfo.hasNextPage:
            return wandb_listing.RunListing(found, ())


def _until_total(self: pages.RunPages, since: datetime, until: datetime) -> pages.RangePages:
    read = [self._range_page(since, until, 1, self.size)]
    while sum(len(page.runs) for page, _ in read) < read[0][0].total:
        read.append(self._range_page(since, until, len(read) + 1, self.size))
    return pages.RangePages(tuple(read), self.size, read[0][0].total, is_whole=True)


def _admit_each(self: ledger.Ledger, run: Any) -> None:
    copy: Any = f"{run.id} {len(self.runs)}"
    self.runs[copy] = ledger.Known(run, "", False, run.updated_at)


def _every_workflow(github: Any, known: ledger.Ledger, now: datetime) -> None:
    found: dict[int, Any] = {}
    for number in itertools.count(1):
        page = workflows._read_page(github, number, None)
        assert page is not None
        for workflow in page.workflows:
            found[workflow.id + 10**12 * (workflow.id in found)] = workflow
        if number * workflows.PER_PAGE >= page.total:
            break
    known.workflow_pages, known.workflows, known.workflows_at = (), found, now


def _without_limit(page: Callable[..., Any]) -> Callable[..., Any]:
    def unlimited(self: pages.RunPages, *arguments: Any, **options: Any) -> Any:
        self._left = 10**9
        return page(self, *arguments, **options)

    return unlimited

"""The W&B check: the wiring of client, registry and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from metta_checks.core import MettaCheck, Reason, Sample
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.state import Store
from metta_checks.wandb import saved
from metta_checks.wandb.client import WandbClient, first_three
from metta_checks.wandb.config_models import ConfigMixin
from metta_checks.wandb.events import failure_events
from metta_checks.wandb.kept import KeptSamples
from metta_checks.wandb.metrics import completed_samples, count_samples, selected
from metta_checks.wandb.query import active_filter
from metta_checks.wandb.registry import Knowledge, refreshed
from metta_checks.wandb.runs import Run
from metta_checks.wandb.settings import (
    DEFAULT_BASE_URL,
    VARIABLES,
    Settings,
    identity_tags,
    places_of,
    settings_of,
)


class WandbCheck(MettaCheck, ConfigMixin):
    """One W&B project: counts of its runs, and for each run of interest its duration, speed, metrics and machines."""

    SOURCE = "W&B"
    VARIABLES = VARIABLES
    SHARED = ("base_url",)

    _known: Knowledge | None = None
    _learnt: Knowledge | None = None

    @cached_property
    def settings(self) -> Settings:
        return settings_of(self.options)

    @cached_property
    def client(self) -> WandbClient:
        settings = self.settings
        return WandbClient(
            self.transport,
            self.credentials,
            settings.project,
            settings.wanted,
            settings.run_tags,
            page_size=settings.page_size,
            max_pages=settings.max_pages,
        )

    @cached_property
    def kept_samples(self) -> KeptSamples:
        return KeptSamples(self.settings.metric_options)

    @cached_property
    def store(self) -> Store:
        return Store(self, "runs", saved.VERSION)

    def identity(self) -> Mapping[str, str]:
        project = self.settings.project
        return {"base_url": project.base_url, "entity": project.entity, "project": project.name}

    def identity_tags(self) -> tuple[str, ...]:
        return identity_tags(self.settings.project)

    def credential_places(self) -> CredentialPlaces:
        return places_of(self.options, self.provenance, self.target("base_url", DEFAULT_BASE_URL))

    def stores(self) -> Iterable[Store]:
        return (self.store,)

    def collect(self, now: datetime) -> Iterator[Sample]:
        settings, options = self.settings, self.settings.metric_options
        known = self._remembered()
        full = known.needs_full(now, settings.full_refresh)
        listing = self.client.runs(self._filter(known, now, full=full))
        news = refreshed(known, listing.runs, now, settings.timeframe, full=full)
        self._learnt = news.knowledge
        runs = news.knowledge.runs.values()
        selection = selected(runs, news.knowledge.ended_seen, now, settings.completed_runs, settings.max_runs)
        self._note_dropped(runs, listing.unknown, selection.over_limit)
        yield from count_samples(runs, options)
        yield from self.kept_samples.of(selection.runs, now)
        if settings.distributions:
            yield from completed_samples(news.just_ended, options)
        if settings.events:
            self.collection.events.extend(failure_events(news.just_ended, settings.project, options))

    def commit(self) -> None:
        learnt = self._learnt
        if learnt is None:
            return
        document = saved.save(learnt, self.collection.now, self.settings.completed_runs)
        self.store.save(document)
        self._known, self._learnt = learnt, None

    def _remembered(self) -> Knowledge:
        if self._known is None:
            restored = saved.restore(self.store.load())
            if restored is None:
                self.store.refuse()
            self._known = restored or Knowledge()
        return self._known

    def _filter(self, known: Knowledge, now: datetime, *, full: bool) -> str:
        since = now - self.settings.timeframe
        if not full and (newest := known.delta_since()) is not None:
            since = max(since, newest)
        return active_filter(since, known.alive)

    def _note_dropped(self, runs: Iterable[Run], unknown: tuple[str, ...], over_limit: int) -> None:
        self.collection.drop(Reason.OVER_LIMIT, over_limit)
        self.collection.drop(Reason.NOT_FINITE, sum(run.not_finite for run in runs))
        unreadable = [blob for run in runs for blob in run.unreadable]
        self.collection.drop(Reason.UNREADABLE, len(unreadable))
        self.collection.drop(Reason.INVALID, len(unknown))
        if unknown:
            why = "because this version does not know their state"
            self.warning("W&B runs left out, %s: %s", why, first_three(unknown))
        if unreadable:
            self.warning("W&B metrics left out, because they are no JSON object: %s", first_three(unreadable))

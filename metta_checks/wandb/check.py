"""The W&B check: the wiring of client, registry and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import ClassVar

from metta_checks.core import Dropped, DropReason, MettaCheck, Result, Target, tag
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.environment import Variables
from metta_checks.core.state import StateFormat, TargetStates
from metta_checks.wandb import state_codec
from metta_checks.wandb.client import ProjectPath, RunListing, WandbClient
from metta_checks.wandb.config_models import ConfigMixin
from metta_checks.wandb.events import failure_events
from metta_checks.wandb.metrics import (
    SampleCache,
    SeriesSelection,
    completed_samples,
    count_samples,
    gpu_hour_samples,
    gpu_samples,
    selected,
)
from metta_checks.wandb.models import Run
from metta_checks.wandb.query import active_filter
from metta_checks.wandb.registry import RunRegistry, refreshed
from metta_checks.wandb.settings import (
    DEFAULT_BASE_URL,
    VARIABLES,
    Settings,
    identity_tags,
    places_of,
    settings_of,
)


class WandbCheck(ConfigMixin, MettaCheck):
    """W&B projects: counts of their runs, and for each run of interest its duration, speed, metrics and machines."""

    SOURCE = "W&B"
    VARIABLES: ClassVar[Variables] = VARIABLES
    SHARED: ClassVar[tuple[str, ...]] = ("base_url",)

    def targets(self) -> Sequence[Target]:
        """The projects of the instance."""
        return [_target_of(project) for project in self.settings.projects]

    def read(self, target: Target, now: datetime) -> Result:
        """One project: every active run where a full listing is due, else those that changed."""
        settings, project = self.settings, _project_of(target)
        options = settings.sample_options(project)
        known: RunRegistry = self.states.of(target)
        full = known.needs_full(now, settings.full_refresh)
        listing = self.client.runs(project, self._filter(known, now, full=full), full=full)
        news = refreshed(known, listing.runs, now, settings.timeframe, full=full)
        runs = news.registry.runs.values()
        selection = selected(runs, news.registry.ended_seen, now, settings.completed_runs, settings.max_runs_each)
        kept = self._kept_samples.setdefault(target.key, SampleCache(options))
        samples = [
            *count_samples(runs, options),
            *gpu_samples(runs, options),
            *kept.of(selection.runs, now, news.registry.resumed),
        ]
        if settings.distributions:
            samples += completed_samples(news.just_ended, options)
            samples += gpu_hour_samples(news.ends, options)
        events = list(failure_events(news.just_ended, project, options)) if settings.events else []
        dropped = list(_dropped(runs, listing, selection))
        return Result(target, samples, events, state=news.registry, dropped=dropped, warnings=listing.warnings)

    @cached_property
    def states(self) -> TargetStates[RunRegistry]:
        """What is known of each project's runs."""
        encode = partial(state_codec.save, completed_runs=self.settings.completed_runs)
        return self.new_states(RunRegistry, StateFormat("runs", state_codec.VERSION, encode, state_codec.restore))

    @property
    def discovers(self) -> bool:
        """Whether the instance has `projects` rather than one `project`."""
        return self.instance.get("projects") is not None

    def discovery_tags(self) -> tuple[str, ...]:
        """The entity of all projects."""
        return (tag("wandb_entity", self.settings.entity),)

    def validate_options(self) -> None:
        """Resolve the options. Raises ConfigurationError."""
        _ = self.settings

    def credential_places(self) -> CredentialPlaces:
        """Where the API key is looked for."""
        return places_of(self.config, self.provenance, self.credential_host("base_url", DEFAULT_BASE_URL))

    @cached_property
    def settings(self) -> Settings:
        """The resolved options. Raises ConfigurationError for one that cannot be meant."""
        return settings_of(self.config)

    @cached_property
    def client(self) -> WandbClient:
        """The API, with this instance's key."""
        settings = self.settings
        return WandbClient(
            self.transport,
            self.credentials,
            settings.wanted,
            settings.run_tags,
            settings.completed_tags,
            page_size=settings.page_size,
            max_pages=settings.max_pages,
        )

    @cached_property
    def _kept_samples(self) -> dict[str, SampleCache]:
        """A saving by target: what was made for a run that does not change."""
        return {}

    def _filter(self, known: RunRegistry, now: datetime, *, full: bool) -> str:
        since = now - self.settings.timeframe
        if not full and (newest := known.delta_since()) is not None:
            since = max(since, newest)
        return active_filter(since, known.alive)


def _target_of(project: ProjectPath) -> Target:
    identity = {"base_url": project.base_url, "entity": project.entity, "project": project.name}
    return Target(f"project {project}", identity, identity_tags(project))


def _project_of(target: Target) -> ProjectPath:
    identity = target.identity
    return ProjectPath(identity["entity"], identity["project"], identity["base_url"])


def _dropped(runs: Iterable[Run], listing: RunListing, selection: SeriesSelection) -> Iterator[Dropped]:
    yield Dropped.of(DropReason.OVER_LIMIT, (f"run {run.id}" for run in selection.over_limit))
    invalid = (f"{key} of run {run.id} is no number" for run in runs for key in run.invalid)
    yield Dropped.of(DropReason.INVALID, (*listing.unknown, *invalid))
    not_finite = [run for run in runs if run.not_finite]
    names = (f"run {run.id}" for run in not_finite)
    yield Dropped.of(DropReason.NOT_FINITE, names, sum(run.not_finite for run in not_finite))
    yield Dropped.of(DropReason.UNREADABLE, (blob for run in runs for blob in run.unreadable))

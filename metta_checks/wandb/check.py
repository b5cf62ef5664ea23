"""The W&B check: the wiring of client, registry and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import ClassVar

from metta_checks.core import Dropped, DropReason, MettaCheck, Result, SourceError, Target, tag
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.discovery import Discovery, ListName
from metta_checks.core.environment import Variables
from metta_checks.core.state import StateFormat, TargetStates
from metta_checks.core.target import TargetList
from metta_checks.wandb import state_codec
from metta_checks.wandb.client import WandbClient
from metta_checks.wandb.config_models import ConfigMixin
from metta_checks.wandb.listing import Asked, RunListing, RunListings, require_room
from metta_checks.wandb.metrics import (
    SampleCache,
    SeriesSelection,
    completed_samples,
    count_samples,
    failure_events,
    gpu_hour_samples,
    gpu_samples,
    selected,
)
from metta_checks.wandb.models import ProjectPath, Run
from metta_checks.wandb.query import active_filter
from metta_checks.wandb.registry import RunRegistry, refreshed
from metta_checks.wandb.settings import (
    DEFAULT_BASE_URL,
    VARIABLES,
    Settings,
    identity_tags,
    places_of,
)


class WandbCheck(ConfigMixin, MettaCheck):
    """W&B projects: counts of their runs, and for each run of interest its duration, speed, metrics and machines."""

    SOURCE = "W&B"
    VARIABLES: ClassVar[Variables] = VARIABLES
    SHARED: ClassVar[tuple[str, ...]] = ("base_url",)

    def targets(self) -> Sequence[Target]:
        """The projects that the configuration spells out."""
        return [_target_of(project) for project in self.settings.named]

    def find_targets(self, now: datetime) -> TargetList:
        """The projects of the entity that match, with `projects`."""
        if self.settings.projects is None:
            return super().find_targets(now)
        found = self._discovery.look(now, self.collection.time_left)
        return TargetList(
            [_target_of(self.settings.path(name)) for name in found.names],
            [(_target_of(self.settings.path(name)), since) for name, since in found.gone.items()],
            len(found.over_limit),
            found.warnings,
            [_target_of(self.settings.path(name)) for name in found.forgotten],
        )

    def read(self, target: Target, now: datetime) -> Result:
        """One project: every active run where a full listing is due, else those that changed."""
        return self._result(target, self._listings.read(self._asked(target, now)), self.settings.max_runs, now)

    def collect(self, targets: Sequence[Target], now: datetime) -> Iterator[Result]:
        """The projects in turn, several in one request; `max_runs` is shared among them."""
        for key in self._samples.keys() - {target.key for target in targets}:
            del self._samples[key]
        if len(targets) == 1:
            yield from super().collect(targets, now)
            return
        shares = self._shares(targets, now)
        by_project = {_project_of(target): target for target in targets}
        self._listings.retain(list(by_project))
        for asked, listing in self._listings.read_all([self._asked(target, now) for target in targets]):
            target = by_project[asked.project]
            try:
                if isinstance(listing, SourceError):
                    raise listing
                result = self._result(target, listing, shares[target.key], now)
            except Exception as error:
                result = self.failed(target, error, now)
            yield result

    def _result(self, target: Target, listing: RunListing, max_runs: int, now: datetime) -> Result:
        """What the listing of a project comes to; at most `max_runs` of its runs have series of their own."""
        settings, project = self.settings, _project_of(target)
        options = settings.sample_options(project)
        known: RunRegistry = self.states.of(target)
        news = refreshed(known, listing.runs, now, settings.timeframe, full=self._is_full(known, now))
        runs = news.registry.runs.values()
        # A delta adds to what is known, and each may be as large as there is room for.
        require_room(sum(run.kept_bytes for run in runs), f"{self.SOURCE}: the runs of {project}")
        selection = selected(runs, news.registry.ended_seen, now, settings.completed_runs, max_runs)
        kept = self._samples.setdefault(target.key, SampleCache(options))
        samples = kept.of(selection.runs, now, news.registry.resumed)
        # A project that nobody named costs nothing while nothing runs in it.
        if runs or project in settings.named:
            samples += [*count_samples(runs, options), *gpu_samples(runs, options)]
        if settings.distributions:
            samples += completed_samples(news.just_ended, options)
            samples += gpu_hour_samples(news.ends, options)
        events = list(failure_events(news.just_ended, project, options)) if settings.events else []
        dropped = list(_dropped(runs, listing, selection))
        return Result(target, samples, events, state=news.registry, dropped=dropped, warnings=listing.warnings)

    def _shares(self, targets: Sequence[Target], now: datetime) -> Mapping[str, int]:
        """How many runs of each target may have series: as many as had some the last time, as far as `max_runs` goes.

        One of which nothing is known yet counts as one with an equal share: more would leave nothing for those that
        grow. The rest is shared equally.
        """
        left, shares = self.settings.max_runs, {}
        equal = left // max(len(targets), 1)
        wanted = {target.key: self._candidates(target, now, equal) for target in targets}
        for number, (key, runs) in enumerate(sorted(wanted.items(), key=lambda item: item[1])):
            shares[key] = min(runs, left // (len(wanted) - number))
            left -= shares[key]
        return {key: share + left // len(shares) for key, share in shares.items()}

    def _candidates(self, target: Target, now: datetime, unknown: int) -> int:
        known: RunRegistry = self.states.of(target)
        if known.refreshed_at is None:
            return unknown
        ended = sum(now - seen <= self.settings.completed_runs for seen in known.ended_seen.values())
        return len(known.alive) + ended

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
        return Settings.from_options(self.config)

    @cached_property
    def client(self) -> WandbClient:
        """The API, with this instance's key."""
        return WandbClient(self.transport, self.credentials, self.settings.reader)

    @cached_property
    def _listings(self) -> RunListings:
        settings = self.settings
        return RunListings(self.client, settings.reader, page_size=settings.page_size, max_pages=settings.max_pages)

    @cached_property
    def _discovery(self) -> Discovery:
        settings = self.settings
        if settings.projects is None:
            raise RuntimeError("an instance of one project has no list")
        identity = {"base_url": settings.base_url, "entity": settings.entity}
        read_page = partial(self.client.project_names, settings.base_url, settings.entity)
        check = "this key can see: check `entity` and the key's team"
        what = ListName("project", "projects", f"entity {settings.entity}", check)
        return self.new_discovery(what, identity, settings.projects, read_page, settings.timeframe)

    @cached_property
    def _samples(self) -> dict[str, SampleCache]:
        """By target: the samples of runs that do not change."""
        return {}

    def _is_full(self, known: RunRegistry, now: datetime) -> bool:
        return known.needs_full(now, self.settings.full_refresh)

    def _asked(self, target: Target, now: datetime) -> Asked:
        known: RunRegistry = self.states.of(target)
        full = self._is_full(known, now)
        since = now - self.settings.timeframe
        if not full and (newest := known.delta_since()) is not None:
            since = max(since, newest)
        expected = None if known.began is None else len(known.alive) + (len(known.ended_seen) if full else 0)
        return Asked(_project_of(target), active_filter(since, known.alive), full, expected)


def _target_of(project: ProjectPath) -> Target:
    identity = {"base_url": project.base_url, "entity": project.entity, "project": project.name}
    return Target(f"project {project}", identity, identity_tags(project))


def _project_of(target: Target) -> ProjectPath:
    identity = target.identity
    return ProjectPath(identity["entity"], identity["project"], identity["base_url"])


def _dropped(runs: Iterable[Run], listing: RunListing, selection: SeriesSelection) -> Iterator[Dropped]:
    yield Dropped.of(DropReason.OVER_LIMIT, (f"run {run.id}" for run in selection.over_limit))
    yield Dropped.of(DropReason.INVALID, (*listing.unknown, *(text for run in runs for text in run.invalid)))
    not_finite = [run for run in runs if run.not_finite]
    names = (f"run {run.id}" for run in not_finite)
    yield Dropped.of(DropReason.NOT_FINITE, names, sum(run.not_finite for run in not_finite))
    yield Dropped.of(DropReason.UNREADABLE, (blob for run in runs for blob in run.unreadable))

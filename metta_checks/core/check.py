"""The base of every check: targets are read one by one, each result is saved, submitted and reported."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from datadog_checks.base import AgentCheck

from metta_checks.core.collection import Collection
from metta_checks.core.deadline import Deadline
from metta_checks.core.diagnosis import Diagnostics
from metta_checks.core.discovery import LIST_FORMAT, Discovery, ListName, ListPage, gone_error
from metta_checks.core.errors import release_frames
from metta_checks.core.instance import DEFAULT_TIMEOUT, CheckInstance
from metta_checks.core.names import NameSelection
from metta_checks.core.option_errors import require_resolved
from metta_checks.core.report import error_of, warnings_of
from metta_checks.core.state import StateFormat, TargetStates, new_store
from metta_checks.core.submission import SeriesHour, Submission
from metta_checks.core.tags import tag
from metta_checks.core.target import Result, Target, TargetList, first_three
from metta_checks.core.telemetry import Telemetry
from metta_checks.core.unknown_options import option_names, unknown_options

try:
    import datadog_agent  # type: ignore[import-not-found]
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

S = TypeVar("S")


class MettaCheck(CheckInstance, ABC):
    """A check that names its `targets` and reads them; everything else happens here.

    One collection: the options are loaded, the targets are named, `collect` gives a result for each as soon as it is
    complete. Of each result the state is saved, then the samples and events are submitted, then its telemetry. A target
    that fails leaves the others alone. The collection raises when its only target, every target, or the list of targets
    could not be read; `agent status` shows the rest as warnings.
    """

    _has_metadata = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hour = SeriesHour()
        self._submission = Submission(self)
        self._diagnostics = Diagnostics(self)

    # What a check implements.

    @abstractmethod
    def targets(self) -> Sequence[Target]:
        """What the configuration names, without a request. Raises ConfigurationError."""

    @abstractmethod
    def read(self, target: Target, now: datetime) -> Result:
        """One target at `now` (aware, UTC). Raises when it cannot be read; it changes nothing on the check."""

    def collect(self, targets: Sequence[Target], now: datetime) -> Iterator[Result]:
        """A result for each target, as soon as it is complete; those without one when it ends wait for their turn.

        Here they are read one after the other. A check that reads several at once overrides it.
        """
        for target in targets:
            if self.collection.deadline.expired:
                return
            try:
                result = self.read(target, now)
            except Exception as error:
                result = self._failure(target, error, now)
            yield result

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:  # noqa: ARG002 (for overrides)
        """The result of a target that could not be read: what is unknown now."""
        return Result(target, error=error)

    @cached_property
    def states(self) -> TargetStates[Any]:
        """What the check knows of its targets; without an override, nothing."""
        return self.new_states(lambda: None)

    def find_targets(self, now: datetime) -> TargetList:  # noqa: ARG002 (for overrides)
        """The targets of a collection at `now`; with a discovery this may ask the source for its list.

        Raises ConfigurationError, or SourceError where there is no list.
        """
        return TargetList(self.targets())

    @property
    def discovers(self) -> bool:
        """Whether the targets come from a list, rather than being the one that the configuration names."""
        return False

    def discovery_tags(self) -> tuple[str, ...]:
        """What all targets of a discovery have in common."""
        return ()

    # What a check uses.

    def new_states(self, empty: Callable[[], S], format: StateFormat[S] | None = None) -> TargetStates[S]:
        """States of this check's targets, persistent with a `format`."""
        return TargetStates(self.name, datadog_agent, empty, format, author=self._author)

    def new_discovery(
        self,
        what: ListName,
        identity: Mapping[str, str],
        selection: NameSelection,
        read_page: Callable[[str | None], ListPage],
        kept_for: timedelta,
    ) -> Discovery:
        """A discovery whose list, that of `identity`, survives a restart; the rest is as for `Discovery`."""
        stored = {**identity, "names": selection.key}
        store = new_store(self.name, datadog_agent, stored, LIST_FORMAT, author=self._author)
        return Discovery(what, selection, read_page, store, kept_for)

    @property
    def _author(self) -> str:
        """Who wrote a configuration that is not trusted, else empty: its provider and all that it says, since pods with
        another key or proxy share the provider."""
        given = self.provenance
        if given.untrusted is None:
            return ""
        text = json.dumps([given.instance, given.init_config], sort_keys=True, default=str)
        return f"{given.untrusted} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"

    # One collection.

    def identity_tags(self) -> tuple[str, ...]:
        """The identity tags of the instance's own telemetry; none where the options do not hold."""
        try:
            return self.discovery_tags() if self.discovers else self.targets()[0].tags
        except Exception:
            # The options that make the tags may be the very ones that do not hold.
            return ()

    def instance_name(self) -> str:
        """The instance in messages: its target, or what all its targets have in common."""
        try:
            return ", ".join(self.discovery_tags()) if self.discovers else self.targets()[0].name
        except Exception:
            return "an instance whose options do not hold"

    def check(self, _: Any) -> None:
        """One collection, as the Agent runs it."""
        self.collection = collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        self._submission = Submission(self)
        self.hour.begin(collection.now)
        results: list[Result] = []
        try:
            # Before the options are checked: a handle is no address, no number and no name either.
            require_resolved(self.instance, self.init_config)
            self.load_options()
            # The clock runs since the collection began; only now its limit is known.
            collection.deadline.seconds = self.options_loader.timeout()
            with self.transport.during(collection):
                for result in self._results(collection.now):
                    results.append(self._take(result))  # noqa: PERF401 (what was taken counts when a later one raises)
            collection.error = error_of(results)
        except Exception as error:
            collection.error = error
            done = {result.target.key for result in results}
            left = [target for target in self._known_targets() if target.key not in done]
            results += [self._take(self._failure(target, error, collection.now)) for target in left]
        self._report(results)
        self._submission.outlast_points()
        if collection.error is not None:
            raise collection.error

    def _results(self, now: datetime) -> Iterator[Result]:
        """A result for every target. What is raised here, and not in `collect`, is about the list of targets."""
        found = self.collection.target_list = self.find_targets(now)
        for target in found.forgotten:
            self.states.forget(target)
        for target, since in found.gone:
            yield self._failure(target, gone_error(self.SOURCE, target, since), now)
        targets = self._telemetry.by_turn(found.targets) if self.discovers else found.targets
        without = {target.key: target for target in targets}
        try:
            for result in self.collect(targets, now):
                without.pop(result.target.key, None)
                yield result
        except Exception as error:
            for target in without.values():
                yield self._failure(target, error, now)
            return
        for target in without.values():
            yield Result(target, self._telemetry.repeated(target, now), waiting=True)

    def _failure(self, target: Target, error: Exception, now: datetime) -> Result:
        try:
            return self.failed(target, error, now)
        except Exception as another:
            # It speaks of options that may be what is wrong; the first error is the one to show.
            self.log.debug("no samples for the failure: %s: %s", type(another).__name__, another)
            return Result(target, error=error)

    def _known_targets(self) -> Sequence[Target]:
        """The targets that the options name, none where they do not hold or where a list would have to be read."""
        try:
            return () if self.discovers else self.targets()
        except Exception:
            return ()

    def _take(self, result: Result) -> Result:
        """Save, submit and report one result. Returns it without what was submitted."""
        now = self.collection.now
        # Before anything is submitted, since it raises for a value that is no number.
        result = result.finite()
        try:
            if result.state is not None:
                self.states.save(result.target, result.state, now)
            series = self._submission.samples(result.samples)
            self._submission.events(result.events, now)
        except Exception as error:
            result = self._failure(result.target, error, now).finite()
            series = self._submission.samples(result.samples)
        self._telemetry.note(result, now)
        self._submission.samples(self._telemetry.of_target(result.target, series, now))
        return result.summary()

    def _report(self, results: Sequence[Result]) -> None:
        """What the whole collection came to: telemetry, warnings, diagnoses."""
        tags = self.identity_tags()
        if not results:
            self._submission.samples(self._telemetry.of_no_target(tags))
        self._submission.samples(self._telemetry.of_instance(self.collection, results, tags))
        for message in (
            *self.collection.target_list.warnings,
            *warnings_of(results, raised=self.collection.error is not None),
        ):
            self.warning("%s", message)
        for message in first_three(self._unknown_options):
            self.warning("%s", message)
        self._warn_of_budget()
        self._diagnostics.note(self.collection, results)
        if self.discovers and self.collection.error is None:
            present = {result.target.key for result in results}
            self.states.retain(present)
            self._telemetry.retain(present)
        for result in results:
            # That of the collection is still to be raised.
            if result.error is not self.collection.error:
                release_frames(result.error)
        if self.collection.error is None:
            self._submit_metadata()

    @cached_property
    def _telemetry(self) -> Telemetry:
        tags = (tag("check_name", self.name), tag("runner", datadog_agent.get_hostname()))
        return Telemetry(tags, self.interval, discovers=self.discovers)

    @cached_property
    def _unknown_options(self) -> list[str]:
        """A sentence for each option of the configuration that the check does not have."""
        package = ".".join(type(self).__module__.split(".")[:2])
        try:
            names = option_names(package)
        except ModuleNotFoundError:
            # The models are found by the place of the class, which tests and subclasses have elsewhere.
            return []
        return list(unknown_options(names, self._given, self.init_config))

    def _warn_of_budget(self) -> None:
        budget, billed = self.series_budget, self.hour.billed
        if budget is not None and billed > budget:
            over = (
                "%d billed series this hour, over the `series_budget` of %d; `metta-checks estimate` shows what to do"
            )
            self.warning(over, billed, budget)

    @AgentCheck.metadata_entrypoint
    def _submit_metadata(self) -> None:
        """What `agent status` shows below the check, and the inventory of Agents: once a process, since it is kept."""
        if self._has_metadata:
            return
        self._has_metadata = True
        self.set_metadata("version", self.check_version)
        if self.credential_places() is not None and (credential := self.credentials.peek()):
            self.set_metadata("credential_origin", str(credential.origin))

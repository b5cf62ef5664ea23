"""The base of every check: targets are read one by one, each result is saved, submitted and reported."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final, TypeVar

from datadog_checks.base import AgentCheck, ConfigurationError

from metta_checks.core import clock
from metta_checks.core.agent_options import AGENT_INTERVAL, agent_tags
from metta_checks.core.clock import Clock, Pause, next_second, utcnow
from metta_checks.core.collection import Collection
from metta_checks.core.credentials import CredentialHost, CredentialPlaces, Credentials
from metta_checks.core.deadline import Deadline
from metta_checks.core.diagnosis import Diagnostics
from metta_checks.core.environment import NO_VARIABLES, Variables, with_environment
from metta_checks.core.errors import release_frames
from metta_checks.core.hour import SeriesHour
from metta_checks.core.option_errors import OptionError
from metta_checks.core.options_loader import OptionsLoader
from metta_checks.core.printable import printable, printable_lines
from metta_checks.core.quiet import scrub_log
from metta_checks.core.report import error_of, warnings_of
from metta_checks.core.required_options import SIZE_LIMITS
from metta_checks.core.sample import Event, Sample
from metta_checks.core.secrets import PROXY_VARIABLES, Scrubber, proxy_secrets, secrets_of
from metta_checks.core.state import StateFormat, TargetStates
from metta_checks.core.tags import keys_of, tag
from metta_checks.core.target import Result, Target
from metta_checks.core.telemetry import Telemetry
from metta_checks.core.transport import Transport
from metta_checks.core.trust import TRUSTED_PROVIDERS, Provenance

try:
    import datadog_agent  # type: ignore[import-not-found]
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

S = TypeVar("S")

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that a collection has until its own `collection_timeout` is known."""


class MettaCheck(AgentCheck, ABC):
    """A check that names its `targets` and reads them; everything else happens here.

    One collection: the options are loaded, the targets are named, `collect` gives a result for each as soon as it is
    complete. Of each result the state is saved, then the samples and events are submitted, then its telemetry. A target
    that fails leaves the others alone. The collection raises when its only target, every target, or the list of targets
    could not be read; `agent status` shows the rest as warnings.
    """

    SOURCE: ClassVar[str] = "source"
    """The name of the API in messages."""

    VARIABLES: ClassVar[Variables] = NO_VARIABLES
    """Which environment variables stand in for which options."""

    SHARED: ClassVar[tuple[str, ...]] = ()
    """The options of an instance that `init_config` may set for all of them."""

    _has_metadata = False

    def __init__(
        self,
        name: str,
        init_config: Mapping[str, Any] | None,
        instances: Sequence[Mapping[str, Any]],
        agentConfig: object = None,  # noqa: ARG002, N803 (where this raises, the Agent calls it again with this one)
    ) -> None:
        self._given = (instances[0] if instances else None) or {}
        shared = {option: (init_config or {}).get(option) for option in self.SHARED}
        resolved = {**shared, **{option: value for option, value in self._given.items() if value is not None}}
        self._scrubber = Scrubber()
        super().__init__(name, dict(init_config or {}), [with_environment(resolved, self.VARIABLES)])
        scrub_log(self.log, self.printable)
        for secret in (*secrets_of(self.instance, self.init_config), *proxy_secrets(self._proxies())):
            self.register_secret(secret)
        self.clock: Clock = utcnow
        # Looked up when it is called, so that it can be replaced for every check of a process.
        self.pause: Pause = lambda seconds: clock.pause(seconds)
        self.collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        self.hour = SeriesHour()
        self.options_loader = OptionsLoader(self, self._validate)
        self._diagnostics = Diagnostics(self)

    # What a check implements.

    @abstractmethod
    def targets(self) -> Sequence[Target]:
        """What this instance reads. Raises ConfigurationError, or SourceError where the list cannot be read."""

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

    def validate_options(self) -> None:
        """Check the options beyond their model, without a request. Raises ConfigurationError."""
        return

    @property
    def discovers(self) -> bool:
        """Whether the targets come from a list, rather than being the one that the configuration names."""
        return False

    def discovery_tags(self) -> tuple[str, ...]:
        """What all targets of a discovery have in common."""
        return ()

    def credential_places(self) -> CredentialPlaces | None:
        """Where the loaded options say that the credential is; None where the check needs none of its own."""
        return None

    # What a check uses.

    def new_states(self, empty: Callable[[], S], format: StateFormat[S] | None = None) -> TargetStates[S]:
        """States of this check's targets, persistent with a `format`."""
        return TargetStates(self.name, datadog_agent, empty, format)

    @property
    def config(self) -> Any:
        """The validated instance options: the generated model; None before they were loaded."""
        return self._config_model_instance

    @cached_property
    def credentials(self) -> Credentials:
        """The credential, from the first of `credential_places` that has one."""
        places = self.credential_places()
        if places is None:
            raise RuntimeError(f"{self.name} has no credential")
        return Credentials(places, self.register_secret, lambda: self.collection.deadline.remaining)

    @property
    def provenance(self) -> Provenance:
        """What the configuration itself says, and whether its author is trusted. Base classes of older Agents know
        neither the provider, which is empty outside of the Agent too, nor the setting."""
        provider = getattr(self, "provider", "")
        trusted = getattr(getattr(self, "security_config", None), "trusted_providers", None) or TRUSTED_PROVIDERS
        return Provenance(self._given, self.init_config, provider if provider and provider not in trusted else None)

    def credential_host(self, option: str, default: str) -> CredentialHost:
        """Where `option` of the loaded options says that the credential goes."""
        variable = self.VARIABLES[option].name
        approved = os.environ.get(variable, "").strip(), self.provenance.trusted_shared(option) or ""
        address = str(getattr(self.config, option) or default).strip().rstrip("/")
        return CredentialHost(address, option, variable, default, approved)

    def register_secret(self, secret: str) -> None:
        """Have `secret` scrubbed from whatever this check logs, warns of or raises."""
        self._scrubber.add(secret)

    def sanitize(self, text: str) -> str:
        """`text`, of several lines perhaps, without secrets and control characters: what the base class passes errors,
        tracebacks and diagnoses through."""
        return printable_lines(self._scrubber.scrub(text))

    def printable(self, text: str, limit: int | None = None) -> str:
        """`text` on one line, without secrets, then cut to `limit` characters."""
        return printable(text, limit, self._scrubber.scrub)

    def warning(self, warning_message: object, *args: object, **_: object) -> None:
        """A warning in `agent status` and in the log: one printable line without secrets, which the base leaves in."""
        text = str(warning_message)
        super().warning(self.printable(text % args if args else text))

    def _proxies(self) -> Iterator[object]:
        """The addresses of the proxies that `requests` may use for this instance."""
        for proxy in (self.instance.get("proxy"), self.init_config.get("proxy"), datadog_agent.get_config("proxy")):
            yield from proxy.values() if isinstance(proxy, Mapping) else [proxy]
        for name in PROXY_VARIABLES:
            yield from (os.environ.get(name), os.environ.get(name.lower()))

    @cached_property
    def transport(self) -> Transport:
        """HTTP to the source, bounded by the running collection."""
        return Transport(self.http, self.SOURCE, max_bytes=self.max_response_bytes, scrub=self._scrubber.scrub)

    @cached_property
    def instance_tags(self) -> tuple[str, ...]:
        """What every sample carries: the instance's tags verbatim, and the unified ones that they leave open.

        The Agent adds `service:` from the instance by itself, but `env:` only to metrics with a host, which these
        do not have.
        """
        configured = self.instance.get("tags")
        given = tuple(text for text in configured if isinstance(text, str)) if isinstance(configured, list) else ()
        unified = {
            "env": datadog_agent.get_config("env") or os.environ.get("DD_ENV"),
            "version": os.environ.get("DD_VERSION"),
            "service": None if agent_tags(self.instance, self.init_config) else os.environ.get("DD_SERVICE"),
        }
        present = keys_of(given)
        return given + tuple(tag(key, value) for key, value in unified.items() if value and key not in present)

    @property
    def max_response_bytes(self) -> int:
        """The largest response that is read, in bytes: the option of `SIZE_LIMITS` that the check has."""
        return int(next(getattr(self.config, name) for name in SIZE_LIMITS if hasattr(self.config, name)))

    @property
    def interval(self) -> timedelta:
        """The time between two collections; the Agent's default where the option is no number."""
        try:
            return timedelta(seconds=float(self.instance.get("min_collection_interval") or AGENT_INTERVAL))
        except (TypeError, ValueError, OverflowError):
            return timedelta(seconds=AGENT_INTERVAL)

    def run(self) -> str:
        """A collection with the initialisations inside of it."""
        self.options_loader.set_aside()
        report = str(super().run())
        # The frames hold answers of many megabytes, in cycles that Python's collector may leave for hours.
        release_frames(self.collection.error)
        return report

    # One collection.

    def _validate(self) -> None:
        """The options beyond their model: what the check says, and where the credential goes."""
        self.validate_options()
        provenance, places = self.provenance, self.credential_places()
        provenance.refuse_machine_options()
        if places is None:
            return
        if places.secret_option and provenance.named(places.secret_option) not in {None, places.secret}:
            cure = f"Set `{places.option}`, or put the configuration into a file in conf.d."
            provenance.refuse(places.secret_option, "names an AWS secret", "choose one", cure)
        places.require_host()
        if not places.named:
            provenance.refuse_other_routes(places.what, places.option)

    @property
    def series_budget(self) -> int | None:
        """The billed series that an hour may have; None where the options set no limit."""
        budget: int | None = getattr(self.config, "series_budget", None)
        return budget

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

    def load_options(self) -> None:
        """Read and check the options, as each collection does at its start, without a request.

        Raises ConfigurationError, without secrets.
        """
        try:
            self.options_loader.load()
        except ConfigurationError as error:
            error.args = (self.sanitize(str(error)),)
            if isinstance(error, OptionError):
                error.problem = self.printable(error.problem)
            raise

    def check(self, _: Any) -> None:
        """One collection, as the Agent runs it."""
        self.collection = collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        results: list[Result] = []
        try:
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
        self._outlast_points()
        if collection.error is not None:
            raise collection.error

    def _results(self, now: datetime) -> Iterator[Result]:
        """A result for every target. What is raised here, and not in `collect`, is about the list of targets."""
        targets = list(self.targets())
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
        result = result.finite()
        try:
            if result.state is not None:
                self.states.save(result.target, result.state, now)
            self._submit(result.samples)
            self._submit_events(result.events)
        except Exception as error:
            result = self._failure(result.target, error, now).finite()
            self._submit(result.samples)
        self._telemetry.note(result, now)
        series = self.hour.add(now, result.samples)
        self._submit_telemetry(self._telemetry.of_target(result.target, series, now))
        return result.summary()

    def _report(self, results: Sequence[Result]) -> None:
        """What the whole collection came to: telemetry, warnings, diagnoses."""
        tags = self.identity_tags()
        if not results:
            self._submit_telemetry(self._telemetry.of_no_target(tags))
        self._submit_telemetry(self._telemetry.of_instance(self.collection, results, tags))
        for message in warnings_of(results, raised=self.collection.error is not None):
            self.warning("%s", message)
        self._warn_of_budget()
        self._diagnostics.note(self.collection, results)
        if self.collection.error is None:
            self._submit_metadata()

    @cached_property
    def _telemetry(self) -> Telemetry:
        tags = (tag("check_name", self.name), tag("runner", datadog_agent.get_hostname()))
        return Telemetry(tags, self.interval, discovers=self.discovers)

    def _submit(self, samples: Iterable[Sample]) -> None:
        common = self.instance_tags
        has_points = False
        for sample in samples:
            tags = [*sample.tags, *common]
            if sample.kind == "gauge":
                self.gauge(sample.name, sample.value, tags=tags)
            else:
                # The base's comment says that bounds are whole numbers; what takes them reads doubles.
                low: Any = sample.value
                self.submit_histogram_bucket(sample.name, 1, low, low, False, "", tags)
                has_points = True
        if has_points:
            self.collection.last_point_at = self.clock()

    def _submit_telemetry(self, samples: Iterable[Sample]) -> None:
        telemetry = list(samples)
        self._submit(telemetry)
        self.hour.add(self.collection.now, telemetry)

    def _submit_events(self, events: Iterable[Event]) -> None:
        for event in events:
            self.event(
                {
                    "timestamp": int(self.collection.now.timestamp()),
                    "event_type": self.name,
                    "source_type_name": self.name,
                    "msg_title": event.title,
                    "msg_text": event.text,
                    "aggregation_key": event.aggregation_key,
                    "alert_type": event.alert_type,
                    "host": "",
                    "tags": [*event.tags, *self.instance_tags],
                }
            )

    def _outlast_points(self) -> None:
        """End no earlier than the first whole second after the last distribution point was submitted.

        At the end of a collection the Agent flushes the sketches of earlier seconds only. A point of the running second
        would wait for the next collection, and a stop of the Agent in between would lose it (seen in a real Agent).
        """
        submitted_at = self.collection.last_point_at
        if submitted_at is None:
            return
        seconds = (next_second(submitted_at) - self.clock()).total_seconds()
        if seconds > 0:
            # A clock that was set back asks for more than there ever is to wait for.
            self.pause(min(seconds, 1.0))

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
        if self.credential_places() is not None and (credential := self.credentials.at_hand()):
            self.set_metadata("credential_origin", str(credential.origin))

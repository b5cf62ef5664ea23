"""The base of every check: collect all or nothing, commit, submit, and say how it went."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from datadog_checks.base import AgentCheck, ConfigurationError

from metta_checks.core import clock
from metta_checks.core.agent_options import agent_tags, require_timeouts
from metta_checks.core.clock import Clock, Pause, next_second, utcnow
from metta_checks.core.collection import Collection, Reason
from metta_checks.core.credentials import CredentialPlaces, Credentials, Target
from metta_checks.core.deadline import Deadline
from metta_checks.core.diagnosis import Diagnostics
from metta_checks.core.environment import NO_VARIABLES, Variables, with_environment
from metta_checks.core.hour import SeriesHour
from metta_checks.core.printable import printable, printable_lines
from metta_checks.core.quiet import scrub_log
from metta_checks.core.sample import Event, Sample, is_finite
from metta_checks.core.secrets import PROXY_VARIABLES, Scrubber, proxy_secrets, secrets_of
from metta_checks.core.state import Store, identity_hash
from metta_checks.core.tags import keys_of, tag
from metta_checks.core.transport import Transport
from metta_checks.core.trust import TRUSTED_PROVIDERS, Provenance

try:
    import datadog_agent  # type: ignore[import-not-found]
except ImportError:
    from datadog_checks.base.stubs import datadog_agent

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that a collection has until its own `collection_timeout` is known."""

LONGEST_TIMEOUT: Final = 3600.0
"""Seconds that `collection_timeout` may be at most: a hanging check holds one of the Agent's few workers."""


class MettaCheck(AgentCheck, ABC):
    """A check that says what it saw through `collect(now)`; everything else happens here.

    One collection: the deadline starts, `collect` is read to its end, `commit` persists state, the samples are
    submitted, and `metta.check.*` tells how it went. When anything raises, nothing of the collection is submitted
    but `failure_samples`, `metta.check.up` is 0, and the exception goes on to `agent status`.
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
        self._initializations: deque[Callable[[], None]] = deque()
        self.hour = SeriesHour()
        self._diagnostics = Diagnostics(self)

    @abstractmethod
    def collect(self, now: datetime) -> Iterator[Sample]:
        """All samples of one collection at `now` (aware, UTC). Raises when the source cannot be read whole.

        It must not change what the check remembers: that is for `commit`, which is not called after an error.
        """

    def commit(self) -> None:
        """Keep what this collection learnt; called once all of it is there, before anything is submitted."""
        return

    def failure_samples(self, error: Exception) -> Iterable[Sample]:  # noqa: ARG002 (for those who override it)
        """Samples that tell of a failed collection, beside the telemetry."""
        return ()

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The resolved options that say what this instance watches; its state belongs to them."""

    def identity_tags(self) -> tuple[str, ...]:
        """The tags that tell this instance's telemetry from its siblings'."""
        return ()

    def settle(self) -> None:
        """Resolve what the options say beyond their model; asks the source nothing. Raises ConfigurationError."""
        self.identity()

    def credential_places(self) -> CredentialPlaces | None:
        """Where the loaded options say that the credential is; None where the check needs none of its own."""
        return None

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

    def target(self, option: str, default: str) -> Target:
        """Where `option` of the loaded options says that the credential goes."""
        variable = self.VARIABLES[option].name
        approved = os.environ.get(variable, "").strip(), self.provenance.trusted_shared(option) or ""
        address = str(getattr(self.options, option) or default).strip().rstrip("/")
        return Target(address, option, variable, default, approved)

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

    def stores(self) -> Iterable[Store]:
        """The state that outlives the process, for the diagnoses."""
        return ()

    def persistent_cache_id(self) -> str:
        """An id that follows what is watched, not how the file around it looks."""
        return identity_hash(self.name, self.identity())

    def read_persistent_cache(self, key: str) -> str:
        """What was written under `key`, or `''`. The base class of older Agents knows no id of the check's own."""
        return str(datadog_agent.read_persistent_cache(self._cache_key(key)))

    def write_persistent_cache(self, key: str, value: str) -> None:
        """Keep `value` under `key`, for whoever watches the same."""
        datadog_agent.write_persistent_cache(self._cache_key(key), value)

    def _cache_key(self, key: str) -> str:
        # The form that newer Agents give it.
        return f"{self.name}:{self.persistent_cache_id()}_{key}"

    @property
    def options(self) -> Any:
        """The validated instance options: the generated model."""
        return self._config_model_instance

    @cached_property
    def transport(self) -> Transport:
        """HTTP to the source, bounded by the running collection."""
        return Transport(self.http, self.SOURCE, max_bytes=self.max_answer_bytes(), scrub=self._scrubber.scrub)

    def max_answer_bytes(self) -> int:
        """The largest answer that is read, in bytes."""
        return int(self.options.max_response_bytes)

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

    def load_options(self) -> None:
        """Read and check the options, as each collection does at its start; asks the source nothing.

        Raises ConfigurationError, without secrets. Once they are loaded, it does nothing.
        """
        try:
            self._load_options()
        except ConfigurationError as error:
            raise ConfigurationError(self.sanitize(str(error))) from None

    def _load_options(self) -> None:
        self._set_initializations_aside()
        while self._initializations:
            self._initializations[0]()
            self._initializations.popleft()
        self.settle()
        self._require_trust()
        self._timeout()
        require_timeouts(self.instance, self.init_config)

    def _require_trust(self) -> None:
        provenance, places = self.provenance, self.credential_places()
        provenance.refuse_machine_options()
        if places is None:
            return
        if places.secret_option and provenance.named(places.secret_option) not in {None, places.secret}:
            cure = f"Set `{places.option}`, or put the configuration into a file in conf.d."
            provenance.refuse(places.secret_option, "names an AWS secret", "choose one", cure)
        places.require_target()
        if not places.named:
            provenance.refuse_other_routes(places.what, places.option)

    @property
    def series_budget(self) -> int | None:
        """The billed series that an hour may have; None where the options set no limit."""
        budget: int | None = getattr(self.options, "series_budget", None)
        return budget

    def run(self) -> str:
        """A collection, with the initialisations inside of it: a bad option shows as `up 0` like any failure."""
        self._set_initializations_aside()
        return str(super().run())

    def _set_initializations_aside(self) -> None:
        # What `run` of the base class finds in its own queue it runs before the check.
        self._initializations.extend(self.check_initializations)
        self.check_initializations.clear()

    def check(self, _: Any) -> None:
        """One collection, as the Agent asks for it."""
        self.collection = collection = Collection(self.clock(), Deadline(DEFAULT_TIMEOUT))
        last_point_at: datetime | None = None
        try:
            samples = self._gather(collection)
            self.commit()
            last_point_at = self._submit(samples)
            self._submit_events(collection.events)
        except Exception as error:
            collection.error = error
            samples = self._samples_of_failure(error)
            self._submit(samples)
            self._tell(collection, samples, up=False)
            raise
        else:
            self._tell(collection, samples, up=True)
            self._tell_metadata()
        finally:
            self._outlast(last_point_at)

    def _gather(self, collection: Collection) -> list[Sample]:
        self.load_options()
        # The clock runs since the collection began; only now is known for how long it may.
        collection.deadline.seconds = self._timeout()
        with self.transport.during(collection):
            return self._finite(self.collect(collection.now))

    def _timeout(self) -> float:
        seconds = float(self.options.collection_timeout)
        if not 0 < seconds <= LONGEST_TIMEOUT:
            bounds = f"more than 0 and at most {LONGEST_TIMEOUT:g} seconds"
            raise ConfigurationError(f"`collection_timeout` is {seconds:g}: it must be {bounds}")
        return seconds

    def _finite(self, samples: Iterable[Sample]) -> list[Sample]:
        gathered = list(samples)
        finite = [sample for sample in gathered if is_finite(sample.value)]
        self.collection.drop(Reason.NOT_FINITE, len(gathered) - len(finite))
        return finite

    def _samples_of_failure(self, error: Exception) -> list[Sample]:
        try:
            return self._finite(self.failure_samples(error))
        except Exception as another:
            # It speaks of options that may be what is wrong; the first error is the one to show.
            self.log.debug("no samples for the failure: %s: %s", type(another).__name__, another)
            return []

    def _submit(self, samples: Iterable[Sample]) -> datetime | None:
        """Hand the samples to the Agent. Returns when the last distribution point went; None when there was none."""
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
        return self.clock() if has_points else None

    def _outlast(self, last_point_at: datetime | None) -> None:
        """End no earlier than the first whole second after the last distribution point was submitted.

        At the end of a collection the Agent flushes the sketches of earlier seconds only. A point of the running second
        would wait for the next collection, and a stop of the Agent in between would lose it (seen in a real Agent).
        """
        if last_point_at is None:
            return
        seconds = (next_second(last_point_at) - self.clock()).total_seconds()
        if seconds > 0:
            # A clock that was set back asks for more than there ever is to wait for.
            self.pause(min(seconds, 1.0))

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

    def _tell(self, collection: Collection, samples: Sequence[Sample], *, up: bool) -> None:
        series = self.hour.add(collection.now, samples)
        telemetry = list(collection.telemetry(up=up, series=series, tags=self._telemetry_tags()))
        self._submit(telemetry)
        self.hour.add(collection.now, telemetry)
        self._warn_of_budget()
        self._diagnostics.note(collection)

    def _warn_of_budget(self) -> None:
        budget, billed = self.series_budget, self.hour.billed
        if budget is not None and billed > budget:
            over = (
                "%d billed series this hour, over the `series_budget` of %d; `metta-checks estimate` shows what to do"
            )
            self.warning(over, billed, budget)

    @AgentCheck.metadata_entrypoint
    def _tell_metadata(self) -> None:
        """What `agent status` shows below the check, and the inventory of Agents: once a process, since it is kept."""
        if self._has_metadata:
            return
        self._has_metadata = True
        self.set_metadata("version", self.check_version)
        if self.credential_places() is not None and (credential := self.credentials.at_hand()):
            self.set_metadata("credential_origin", str(credential.origin))

    def _telemetry_tags(self) -> tuple[str, ...]:
        try:
            identity = self.identity_tags()
        except Exception:
            # The options that make the identity may be the very ones that do not hold.
            identity = ()
        return (tag("check_name", self.name), tag("runner", datadog_agent.get_hostname()), *identity)

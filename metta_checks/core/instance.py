"""One configured instance of a check: its options, credentials, secrets, tags and HTTP."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Final

from datadog_checks.base import AgentCheck, ConfigurationError

from metta_checks.core import clock
from metta_checks.core.agent_options import AGENT_INTERVAL, agent_tags, require_timeouts
from metta_checks.core.clock import Clock, Pause, utcnow
from metta_checks.core.collection import Collection
from metta_checks.core.credentials import CredentialHost, CredentialPlaces, Credentials
from metta_checks.core.deadline import Deadline
from metta_checks.core.environment import NO_VARIABLES, Variables, with_environment
from metta_checks.core.errors import release_frames
from metta_checks.core.log_redaction import scrub_log
from metta_checks.core.option_errors import OptionError
from metta_checks.core.printable import printable, printable_lines
from metta_checks.core.required_options import SIZE_LIMITS
from metta_checks.core.secrets import PROXY_VARIABLES, Scrubber, proxy_secrets, secrets_of
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


class CheckInstance(AgentCheck):
    """An `AgentCheck` that resolves its options, protects its secrets and bounds its requests.

    Options come from the instance, else the environment, else the default. No credential and no control character
    reaches a log, a warning, an error or a diagnosis.
    """

    SOURCE: ClassVar[str] = "source"
    """The name of the API in messages."""

    VARIABLES: ClassVar[Variables] = NO_VARIABLES
    """Which environment variables stand in for which options."""

    SHARED: ClassVar[tuple[str, ...]] = ()
    """The options of an instance that `init_config` may set for all of them."""

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
        self.options_loader = OptionsLoader(self, self._validate)

    def validate_options(self) -> None:
        """Check the options beyond their model, without a request. Raises ConfigurationError."""
        return

    def credential_places(self) -> CredentialPlaces | None:
        """Where the loaded options say that the credential is; None where the check needs none of its own."""
        return None

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
        provenance = self.provenance
        approved = os.environ.get(variable, "").strip(), provenance.trusted_shared(option) or ""
        address = str(getattr(self.config, option) or default).strip().rstrip("/")
        return CredentialHost(address, option, variable, default, approved, provenance.untrusted is not None)

    def register_secret(self, secret: str) -> None:
        """Have `secret` scrubbed from whatever this check logs, warns of or raises."""
        self._scrubber.add(secret)

    def forget_secret(self, secret: str) -> None:
        """No longer scrub `secret`, which has ended."""
        self._scrubber.remove(secret)

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

    @property
    def series_budget(self) -> int | None:
        """The billed series that an hour may have; None where the options set no limit."""
        budget: int | None = getattr(self.config, "series_budget", None)
        return budget

    def run(self) -> str:
        """A collection with the initialisations inside of it."""
        self.options_loader.set_aside()
        report = str(super().run())
        # The frames hold answers of many megabytes, in cycles that Python's collector may leave for hours.
        release_frames(self.collection.error)
        return report

    def _validate(self) -> None:
        """The options beyond their model: what the check says, and where the credential goes."""
        self.validate_options()
        provenance, places = self.provenance, self.credential_places()
        provenance.refuse_machine_options()
        if places is None:
            return
        if places.named_secret is not None and not SECRET_NAME.fullmatch(places.named_secret):
            raise OptionError(
                places.secret_option or "",
                f"is not the name of an AWS secret: a credential belongs in `{places.option}`",
            )
        if places.secret_option and provenance.named(places.secret_option) not in {None, places.secret}:
            cure = f"Set `{places.option}`, or put the configuration into a file in conf.d."
            provenance.refuse(places.secret_option, "names an AWS secret", "choose one", cure)
        places.require_host()
        if not places.named:
            provenance.refuse_other_routes(places.what, places.option)


SECRET_NAME: Final = re.compile(r"(?!gh[a-z]_|github_pat_)[A-Za-z0-9/_+=.@:!-]{1,512}")
"""A name or ARN as AWS allows it. Another text may be the credential itself, and is not repeated."""


class OptionsLoader:
    """Runs the initialisations that the base class would run before a collection, one by one, each until it succeeds.

    `validate` is what the check itself has to say of its options.
    """

    def __init__(self, check: AgentCheck, validate: Callable[[], None]) -> None:
        self._check = check
        self._validate = validate
        self._initializations: deque[Callable[[], None]] = deque()
        # `agent diagnose` comes from another thread.
        self._lock = threading.Lock()

    def set_aside(self) -> None:
        """Take over what the base class would run by itself."""
        self._initializations.extend(self._check.check_initializations)
        self._check.check_initializations.clear()

    def load(self) -> None:
        """Read and check the options. Raises ConfigurationError; once they are loaded, it only checks them again."""
        with self._lock:
            self.set_aside()
            while self._initializations:
                self._initializations[0]()
                self._initializations.popleft()
        self._validate()
        self.timeout()
        require_timeouts(self._check.instance, self._check.init_config)

    def timeout(self) -> float:
        """The seconds that a collection may take. Raises ConfigurationError."""
        seconds = float(self._check._config_model_instance.collection_timeout)
        if not 0 < seconds <= LONGEST_TIMEOUT:
            bounds = f"more than 0 and at most {LONGEST_TIMEOUT:g} seconds"
            raise OptionError("collection_timeout", f"is {seconds:g}: it must be {bounds}")
        return seconds

"""Who wrote a configuration, and what it must not name where the Agent's operator did not write it.

The annotations of a pod are a configuration too. Without these rules their author could have the Agent open files of
its machine, read secrets with its AWS role, or send its credentials elsewhere. The base class has a rule of its own for
some of these options, which refuses nothing unless a setting of the Agent turns it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metta_checks.core.option_errors import OptionError

TRUSTED_PROVIDERS: Final = ("file", "remote-config")
"""The configuration providers that are trusted unless the Agent's setting `integration_trusted_providers` says
otherwise; the same as those of the base class."""

CURE: Final = "Remove it, or put the configuration into a file in conf.d."

_MACHINE_OPTIONS: Final = frozenset({"auth_token", "tls_ca_cert", "tls_cert", "tls_private_key"})
"""Options of the HTTP client that read files of the Agent's machine, beside all that begin with `kerberos`."""

_MACHINE_AUTH_TYPES: Final = frozenset({"aws", "kerberos"})
"""Values of `auth_type` that use an identity of the Agent's machine."""

_ROUTE_OPTIONS: Final = frozenset({"proxy", "headers", "extra_headers"})
"""Options of the HTTP client that can change who receives a request, beside all that begin with `tls_`: a `Host` header
is one of `headers`."""

_HARMLESS: Final = (("tls_verify", True), ("tls_validate_hostname", True), ("tls_use_host_header", False))
"""The safe values of options that can also be unsafe."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the configuration itself says, without the environment and defaults, and who wrote it.

    `untrusted` is the configuration provider where the Agent's operator does not trust it, else None.
    """

    instance: Mapping[str, Any]
    init_config: Mapping[str, Any]
    untrusted: str | None = None

    def named(self, option: str) -> str | None:
        """The text that the instance itself gives for `option`; None where it gives none."""
        return _text(self.instance.get(option))

    def trusted(self, option: str) -> str | None:
        """The same, where the author is trusted; else None."""
        return self.named(option) if self.untrusted is None else None

    def trusted_shared(self, option: str) -> str | None:
        """The text that `init_config` gives for `option`, where the author is trusted; else None."""
        return _text(self.init_config.get(option)) if self.untrusted is None else None

    def refuse(self, option: str, what: str, forbidden: str, cure: str) -> None:
        """Raises ConfigurationError for `option` where the author is not trusted.

        The message is "`option` WHAT, and this configuration came from `provider`, which must not FORBIDDEN. CURE".
        """
        if self.untrusted is not None:
            came = f"this configuration came from `{self.untrusted}`, which must not {forbidden}"
            raise OptionError(option, f"{what}, and {came}. {cure}")

    def refuse_machine_options(self) -> None:
        """Raises ConfigurationError for an option that reads a file, or uses an identity, of the Agent's machine."""
        for option, value in self._options():
            if option in _MACHINE_OPTIONS or (option.startswith("kerberos") and value is not False):
                self.refuse(option, "refers to files on the Agent's machine", "name them", CURE)
            if option == "auth_type" and str(value).strip().lower() in _MACHINE_AUTH_TYPES:
                self.refuse(option, "refers to an identity of the Agent's machine", "use it", CURE)

    def refuse_other_routes(self, what: str, option: str) -> None:
        """Raises ConfigurationError for an option that can lead `what`, a credential of the Agent, elsewhere: the
        instance does not name one of its own by `option`."""
        for name, value in self._options():
            leads = name in _ROUTE_OPTIONS or (name.startswith("tls_") and name != "tls_ignore_warning")
            if leads and (name, value) not in _HARMLESS:
                cure = f"Remove it, set `{option}` in this instance, or put the configuration into a file in conf.d."
                self.refuse(name, f"can change who receives the {what}", "change that for one of the Agent", cure)

    def _options(self) -> Iterator[tuple[str, Any]]:
        """What is set in the instance, then in `init_config`."""
        for section in (self.instance, self.init_config):
            for option, value in section.items():
                if value not in (None, "", {}, []):
                    yield str(option), value


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None

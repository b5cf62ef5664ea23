"""Credentials: from the instance, the environment, or AWS Secrets Manager, in this order; and where they may go."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlsplit

from metta_checks.core.address import has_path_of, is_same_server
from metta_checks.core.aws_secret import AWS_LOOKUP_SECONDS, AwsLookup, AwsSecretError, only_value
from metta_checks.core.errors import CredentialError, NoCredentialError, SourceError
from metta_checks.core.option_errors import OptionError

C = TypeVar("C")
T = TypeVar("T")

KEPT_SECONDS: Final = 3600.0
"""How long a secret from AWS is used before it is read again."""

AWAY_SECONDS: Final = 60.0
"""How long an AWS that gave no answer is left alone where there is a secret to go on with."""


class Place(StrEnum):
    """A sort of place that holds credentials, in words that fit before its name."""

    OPTION = "the option"
    VARIABLE = "the environment variable"
    AWS_SECRET = "the AWS secret"  # noqa: S105 (the words for the place)
    APP = "the GitHub App"


@dataclass(frozen=True, slots=True)
class CredentialOrigin:
    """Where a credential comes from."""

    place: Place
    name: str

    def __str__(self) -> str:
        return f"{self.place} `{self.name}`" if self.place is Place.OPTION else f"{self.place} {self.name}"


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and where it came from; its `repr` does not show it."""

    value: str = field(repr=False)
    origin: CredentialOrigin


@dataclass(frozen=True, slots=True)
class CredentialHost:
    """The server that gets the credential: `address`, as `option` says, `init_config`, `variable` or the `default`.

    `approved` are the addresses that the Agent's operator names: in the environment, or in a trusted `init_config`.
    `is_untrusted` says that the operator does not trust whoever wrote `address`.
    """

    address: str
    option: str
    variable: str
    default: str
    approved: Sequence[str] = ()
    is_untrusted: bool = False

    @property
    def is_plaintext(self) -> bool:
        """Whether it is the default host without TLS."""
        try:
            here, default = urlsplit(self.address), urlsplit(self.default)
        except ValueError:
            return False
        return here.scheme == "http" and (here.hostname or "").rstrip(".") == default.hostname

    @property
    def is_approved(self) -> bool:
        """Whether the default, or whoever runs the Agent, names this server. A stranger's address has the path too: one
        host may have the services of many, each under a path."""
        return any(
            is_same_server(self.address, one) and (not self.is_untrusted or has_path_of(self.address, one))
            for one in (self.default, *self.approved)
        )


@dataclass(frozen=True, slots=True)
class CredentialPlaces:
    """Where a check looks for its credential.

    `what` names it in messages ("W&B API key"), `option` is the instance option's name and `given` its value.
    `named_secret` is the secret in AWS Secrets Manager that the instance names by `secret_option`. Where the instance
    names neither, `variables` are tried in order, then the AWS secret `secret`. `region` is that of AWS, None for that
    of the AWS configuration. `basic_user` is the user name with which it is sent where it is a password. `host` is
    where it goes. `has_lines`: it is a key in PEM form, whose line breaks may be written as `\\n`.
    """

    what: str
    option: str
    given: str | None = field(repr=False)
    variables: Sequence[str]
    secret: str
    region: str | None
    basic_user: str | None = None
    secret_option: str | None = None
    named_secret: str | None = None
    host: CredentialHost | None = None
    has_lines: bool = False

    @property
    def named(self) -> bool:
        """Whether the instance names the credential, which may then go to any server that the instance names."""
        return bool((self.given or "").strip() or self.named_secret)

    def require_host(self) -> None:
        """Raises ConfigurationError where the credential must not go to its host."""
        host = self.host
        if host is None:
            return
        if host.is_plaintext:
            problem = f"is {host.address}: the {self.what} would cross the network in the clear. Write {host.default}."
            raise OptionError(host.option, problem)
        if not self.named and not host.is_approved:
            keys = " or ".join(f"`{option}`" for option in (self.option, self.secret_option) if option)
            raise OptionError(
                host.option,
                f"is {host.address}, and this instance has no {self.what} of its own: one from the "
                f"environment or the default AWS secret goes only to {host.default}, or to the server that "
                f"{host.variable} or `init_config` names, so nothing was sent. Set {keys} in this instance, or "
                f"`{host.option}` in the `init_config` of a file in conf.d.",
            )


class Credentials:
    """Finds the credential of one check instance and keeps one from AWS for an hour.

    Each value found goes to `register` (the check's `register_secret`) before anything else sees it. `time_left` tells
    how many seconds the running collection has; a look into AWS ends with it.
    """

    def __init__(
        self,
        places: CredentialPlaces,
        register: Callable[[str], None],
        time_left: Callable[[], float] = lambda: AWS_LOOKUP_SECONDS,
    ) -> None:
        self._places = places
        self._register = register
        self._time_left = time_left
        self._kept: Credential | None = None
        self._kept_since = 0.0
        self._lookup: AwsLookup | None = None
        self._lock = threading.Lock()

    def get(self) -> Credential:
        """The credential. Raises NoCredentialError, which names the places, when there is none, another
        CredentialError when what is there cannot be used, and ConfigurationError where it must not go to its host."""
        if found := self._near():
            return found
        kept = self._kept
        if kept is not None and time.monotonic() - self._kept_since <= KEPT_SECONDS:
            return kept
        try:
            return self._keep(self._from_aws())
        except CredentialError:
            # AWS is away, or somebody's permissions are: what was good an hour ago goes on until a 401 says otherwise.
            if kept is None:
                raise
            self._kept_since = time.monotonic() - KEPT_SECONDS + AWAY_SECONDS
            return kept

    def peek(self) -> Credential | None:
        """The credential, if it can be known without asking AWS. Raises CredentialError for an unusable one, and
        ConfigurationError for one that must not go to its host."""
        return self._near() or self._kept

    def refresh(self, refused: Credential) -> Credential | None:
        """After a 401: the secret as AWS has it now, if that is another one than the `refused`; else None, also when
        AWS cannot be asked: the 401 is then what the operator has to hear of.

        Only AWS is asked again: an option and the environment do not change while the process runs.
        """
        if refused.origin.place is not Place.AWS_SECRET:
            return None
        kept = self._kept
        # Another thread may have been refused too, and have it renewed already.
        if kept not in {None, refused}:
            return kept
        try:
            fresh = self._keep(self._from_aws())
        except CredentialError:
            return None
        return fresh if fresh != refused else None

    @property
    def _aws_origin(self) -> CredentialOrigin:
        return CredentialOrigin(Place.AWS_SECRET, self._places.named_secret or self._places.secret)

    def describe(self) -> str:
        """From which place the credential comes and which server gets it, or why it would not be sent. Nothing is asked
        of AWS, and no secret is in it."""
        places = self._places
        try:
            places.require_host()
            came = self._place_in_words()
        except (OptionError, CredentialError) as error:
            return str(error)
        return came if places.host is None else f"{came}; it is sent to {places.host.address}"

    def _place_in_words(self) -> str:
        places = self._places
        if (places.given or "").strip().startswith("ENC["):
            return f"the option `{places.option}`, which the Agent's secret backend resolves"
        if (found := self.peek()) is not None:
            return str(found.origin)
        if places.named_secret:
            return f"{self._aws_origin} (not tried here)"
        near = " nor ".join((f"`{places.option}`", *places.variables))
        return f"neither {near} is set; the check would then read {self._aws_origin} (not tried here)"

    def _near(self) -> Credential | None:
        places = self._places
        places.require_host()
        if places.given and places.given.strip():
            return self._registered(Credential(places.given.strip(), CredentialOrigin(Place.OPTION, places.option)))
        if places.named_secret:
            return None
        for name in places.variables:
            if value := os.environ.get(name, "").strip():
                return self._registered(Credential(value, CredentialOrigin(Place.VARIABLE, name)))
        return None

    def _registered(self, credential: Credential) -> Credential:
        if credential.value.startswith("ENC[") and credential.value.endswith("]"):
            came = f"{credential.origin} holds an unresolved {credential.value.split(';')[0].rstrip(']')}] handle"
            raise CredentialError(f"{self._places.what}: {came}. Set up the Agent's secret backend.")
        if self._places.has_lines:
            return self._registered_lines(credential)
        if not credential.value.isascii() or not credential.value.isprintable():
            came = f"{credential.origin} holds a line break, or a character that no credential has"
            raise CredentialError(f"{self._places.what}: {came}. Store it again, without quotes and line breaks.")
        self._register(credential.value)
        if (user := self._places.basic_user) is not None:
            # The header that is made of it is as good as the credential, and servers repeat headers in their errors.
            self._register(base64.b64encode(f"{user}:{credential.value}".encode()).decode())
        return credential

    def _registered_lines(self, credential: Credential) -> Credential:
        lines = [line.strip() for line in credential.value.replace("\\r", "").replace("\\n", "\n").splitlines()]
        # Each by itself, since a message repeats one line at most.
        for line in lines:
            if not line.startswith("-----"):
                self._register(line)
        return Credential("\n".join([*lines, ""]), credential.origin)

    def _keep(self, credential: Credential) -> Credential:
        credential = self._kept = self._registered(credential)
        self._kept_since = time.monotonic()
        return credential

    def _from_aws(self) -> Credential:
        places = self._places
        with self._lock:
            # One at a time: where AWS hangs, each collection would leave another thread behind. What came too late for
            # the one before is good for this one.
            if self._lookup is None or self._lookup.spent:
                self._lookup = AwsLookup(self._aws_origin.name, places.region)
            lookup = self._lookup
        try:
            return Credential(only_value(lookup.outcome(self._time_left())), self._aws_origin)
        except AwsSecretError as fault:
            raise NoCredentialError(self._not_found(fault), settled=fault.settled) from None

    def _not_found(self, fault: AwsSecretError) -> str:
        places, variables = self._places, " or ".join(self._places.variables)
        if places.named_secret:
            return (
                f"no {places.what} found: {self._aws_origin}, which `{places.secret_option}` names, could not be used "
                f"({fault}). Correct it, set `{places.option}`, or remove `{places.secret_option}` to use {variables}."
            )
        return (
            f"no {places.what} found: the option `{places.option}` is not set, neither is the environment variable "
            f"{variables}, and {self._aws_origin} could not be used ({fault}). Set one of the three."
        )


def with_fresh_credential(
    request: Callable[[C], T],
    credential: C,
    refresh: Callable[[C], C | None],
    refuses: Callable[[SourceError], bool] = lambda error: error.refuses_credential,
) -> T:
    """What `request` returns with the credential, or, where the source refuses that one, with the one that `refresh`
    gives in its place. Raises SourceError."""
    try:
        return request(credential)
    except SourceError as error:
        fresh = refresh(credential) if refuses(error) else None
        if fresh is None:
            raise
    return request(fresh)

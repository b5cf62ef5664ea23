"""The GitHub credential of one instance: a token, a GitHub App, or none."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import jwt

from metta_checks.ci.api_models import issued_token
from metta_checks.ci.config_models.defaults import instance_app_private_key_secret, instance_token_secret
from metta_checks.ci.settings import REST_HEADERS, VARIABLES
from metta_checks.core.clock import Clock
from metta_checks.core.credentials import (
    KEPT_SECONDS,
    Credential,
    CredentialHost,
    CredentialOrigin,
    CredentialPlaces,
    Credentials,
    Place,
    with_fresh_credential,
)
from metta_checks.core.errors import CredentialError, Kind, NoCredentialError, SourceError
from metta_checks.core.transport import BearerAuth, Response, Transport
from metta_checks.core.trust import Provenance

if TYPE_CHECKING:
    from metta_checks.ci.config_models.instance import InstanceConfig


TOKEN_VARIABLES: Final = ("GITHUB_DASHBOARD_TOKEN", "GITHUB_TOKEN")
APP_KEY_VARIABLE: Final = "GITHUB_APP_PRIVATE_KEY"


def token_places(options: InstanceConfig, provenance: Provenance, host: CredentialHost) -> CredentialPlaces:
    """Where the token may be, and where it goes."""
    return CredentialPlaces(
        what="GitHub token",
        option="token",
        given=options.token,
        variables=TOKEN_VARIABLES,
        secret=os.environ.get(VARIABLES["token_secret"].name, "").strip() or instance_token_secret(),
        region=options.aws_region,
        secret_option="token_secret",  # noqa: S106 (the name of an option)
        named_secret=provenance.trusted("token_secret"),
        host=host,
    )


def app_key_places(options: InstanceConfig, provenance: Provenance, host: CredentialHost) -> CredentialPlaces:
    """Where the private key of the GitHub App may be, and where what it signs goes."""
    return CredentialPlaces(
        what="GitHub App private key",
        option="app_private_key",
        given=options.app_private_key,
        variables=(APP_KEY_VARIABLE,),
        secret=os.environ.get(VARIABLES["app_private_key_secret"].name, "").strip()
        or instance_app_private_key_secret(),
        region=options.aws_region,
        secret_option="app_private_key_secret",  # noqa: S106 (the name of an option)
        named_secret=provenance.trusted("app_private_key_secret"),
        host=host,
        has_lines=True,
    )


class Access:
    """The token, or None to go without; `missing` then says which places were looked at.

    With `required` there is no going without: somebody named the secret, so that its absence is a fault.
    """

    def __init__(self, credentials: Credentials, *, required: bool) -> None:
        self.missing: str | None = None
        self._credentials = credentials
        self._required = required
        self._missing_since: float | None = None

    def credential(self) -> Credential | None:
        """Raises CredentialError for a token that is there and cannot be used, and for none where one is required.

        A search of AWS takes seconds where there is none, so that this is remembered for an hour; an AWS that was slow
        or away is asked again by the next collection.
        """
        if self._missing_since is not None and time.monotonic() - self._missing_since <= KEPT_SECONDS:
            return None
        try:
            credential = self._credentials.get()
        except NoCredentialError as error:
            if self._required:
                raise
            self.missing = str(error)
            self._missing_since = time.monotonic() if error.settled else None
            return None
        self.missing = None
        return credential

    def refresh(self, refused: Credential) -> Credential | None:
        """Another token in place of a refused one, if AWS has one by now."""
        return self._credentials.refresh(refused)


ALGORITHM: Final = "RS256"

BACKDATED: Final = timedelta(seconds=60)
"""How far in the past GitHub wants `iat`, since its clock may be behind."""

LIFETIME: Final = timedelta(minutes=9)
"""GitHub refuses more than ten minutes after `iat`; BACKDATED is part of them."""

RENEW_BEFORE: Final = timedelta(minutes=5)
"""How long before its end an installation token is replaced."""

NEW: Final = timedelta(minutes=1)
"""How long a token that GitHub refuses is not replaced: another one would be refused too."""

SKEW: Final = timedelta(seconds=30)
"""How far the clocks may be apart before a refused JWT is made again by GitHub's clock."""

REGISTERED: Final = 4
"""JWTs and tokens that are scrubbed from messages at a time; those before have ended."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What has a check scrub a secret from its messages, and what ends that."""

    add: Callable[[str], None]
    remove: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Token:
    credential: Credential
    ends_at: datetime
    made_at: datetime


class AppAccess:
    """Gives installation tokens of a GitHub App. `missing` is there for `Access`, of which this is the other kind."""

    missing: str | None = None

    def __init__(
        self,
        app_id: str,
        installation_id: str,
        api_url: str,
        private_key: Credentials,
        transport: Transport,
        clock: Clock,
        secrets: Registry,
    ) -> None:
        self._app_id = app_id
        self._url = f"{api_url}/app/installations/{installation_id}/access_tokens"
        self._installation_id = installation_id
        self._private_key = private_key
        self._transport = transport
        self._clock = clock
        self._secrets = secrets
        self._registered: deque[str] = deque()
        self._clocks_differ = timedelta(0)
        self._token: _Token | None = None
        self._lock = threading.Lock()

    def credential(self) -> Credential:
        """An installation token that lasts for some minutes more. Raises CredentialError for a private key that is not
        there or no key, SourceError where GitHub gives no token."""
        with self._lock:
            if self._token is None or self._token.ends_at - self._now() < RENEW_BEFORE:
                self._token = self._new_token()
            return self._token.credential

    def refresh(self, refused: Credential) -> Credential | None:
        """Another token in place of a refused one; None where that was just made. Raises as `credential` does."""
        with self._lock:
            token = self._token
            if token is not None and token.credential != refused:
                return token.credential
            if token is not None and self._now() - token.made_at < NEW:
                return None
            self._token = None
            self._token = self._new_token()
            return self._token.credential

    def _now(self) -> datetime:
        return self._clock() + self._clocks_differ

    def _new_token(self) -> _Token:
        key = self._private_key.get()
        answer = with_fresh_credential(self._request, key, self._private_key.refresh)
        issued = issued_token(answer)
        self._register(issued.token)
        origin = CredentialOrigin(Place.APP, f"{self._app_id} (installation {self._installation_id})")
        return _Token(Credential(issued.token, origin), issued.ends_at, self._now())

    def _request(self, key: Credential) -> Response:
        try:
            return self._ask(key)
        except SourceError as error:
            if not self._is_of_clocks(error):
                raise self._explained(error, key) from None
        try:
            return self._ask(key)
        except SourceError as error:
            raise self._explained(error, key) from None

    def _is_of_clocks(self, error: SourceError) -> bool:
        """Whether GitHub refused a JWT that the clock of this machine made wrong; the next one is made by GitHub's."""
        if not error.refuses_credential or error.answered_at is None:
            return False
        differ = error.answered_at - self._clock()
        if abs(differ - self._clocks_differ) <= SKEW:
            return False
        self._clocks_differ = differ
        return True

    def _ask(self, key: Credential) -> Response:
        token = self._signed(key)
        self._register(token)
        return self._transport.send(
            "POST",
            self._url,
            about=f"a token of the GitHub App {self._app_id}",
            auth=BearerAuth(token),
            headers=REST_HEADERS,
        )

    def _signed(self, key: Credential) -> str:
        begins = self._now() - BACKDATED
        claims = {"iat": begins, "exp": begins + LIFETIME, "iss": self._app_id}
        # Raised anew: the library's own words may hold what it was given, and a public key ends in an AttributeError.
        with suppress(Exception):
            return jwt.encode(claims, key.value, ALGORITHM)
        raise CredentialError(
            f"GitHub App private key: {key.origin} is no RSA private key in PEM form without a passphrase. Store the "
            f"whole file that GitHub made, from the first ----- to the last, with its line breaks or with \\n for each."
        )

    def _register(self, secret: str) -> None:
        self._secrets.add(secret)
        self._registered.append(secret)
        while len(self._registered) > REGISTERED:
            self._secrets.remove(self._registered.popleft())

    def _explained(self, error: SourceError, key: Credential) -> SourceError:
        app, installation = f"the GitHub App {self._app_id}", self._installation_id
        match error.kind:
            case Kind.UNAUTHORISED if error.status == 401:
                return error.with_remedy(
                    f"GitHub does not accept the signature of {app}: check `app_id`, that {key.origin} is one of the "
                    f"App's private keys, and the clock of this machine."
                )
            case Kind.NOT_FOUND:
                return error.with_remedy(
                    f"{app[0].upper()}{app[1:]} has no installation {installation} there: check "
                    f"`app_installation_id` (the number at the end of the address of the installation's settings) and "
                    f"`api_url`."
                )
            case Kind.FORBIDDEN if "suspend" in error.detail.lower():
                return error.with_remedy(f"Installation {installation} of {app} is suspended: have an owner resume it.")
            case Kind.FORBIDDEN:
                return error.with_remedy(f"GitHub gives {app} no token for installation {installation}.")
            case _:
                return error

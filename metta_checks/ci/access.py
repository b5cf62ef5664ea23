"""The GitHub credential of one instance: a token, a GitHub App, or none."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from metta_checks.ci.config_models.defaults import instance_app_private_key_secret, instance_token_secret
from metta_checks.ci.settings import VARIABLES
from metta_checks.core.credentials import KEPT_SECONDS, Credential, CredentialHost, CredentialPlaces, Credentials
from metta_checks.core.errors import NoCredentialError
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

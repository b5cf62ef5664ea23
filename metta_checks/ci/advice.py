"""What a credential must be allowed to do, and what to do about an error of GitHub's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from metta_checks.ci.settings import Settings
from metta_checks.core.errors import Kind, SourceError


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission to read, by the name that GitHub's settings show, and the figures that need it."""

    name: str
    figures: str

    @property
    def needed(self) -> str:
        """As messages name it."""
        return f"{self.name} (read)"


ACTIONS: Final = Permission("Actions", "workflows, runs, attempts, jobs and the queue")
CONTENTS: Final = Permission("Contents", "which workflow files the branch has")
PULL_REQUESTS: Final = Permission("Pull requests", "the counts of labeled pull requests")

PERMISSIONS: Final = (ACTIONS, CONTENTS, PULL_REQUESTS)
"""Repository permissions of a fine-grained token and of a GitHub App. GitHub offers no "Checks" for the former."""

CLASSIC_SCOPE: Final = "repo"
"""The scope of a classic token for a private repository; a public one needs none."""


def all_names() -> str:
    """`Actions, Contents and Pull requests`."""
    *first, last = (permission.name for permission in PERMISSIONS)
    return f"{', '.join(first)} and {last}"


def advised(error: SourceError, settings: Settings, *, anonymous: bool) -> SourceError:
    """`error` with an advice for this instance, or as it is where the general one does."""
    match error.kind:
        case Kind.RATE_LIMITED:
            return error.with_remedy(_about_limits(error, anonymous=anonymous))
        case Kind.UNAUTHORISED if error.status == 401 and anonymous:
            return error.with_remedy("This server requires a token: set `token` or GITHUB_TOKEN.")
        case Kind.UNAUTHORISED if error.status == 401:
            return error.with_remedy(
                f"The token is wrong, expired or revoked: renew `token`, its environment variable or its AWS secret, "
                f"and check that it is one for {settings.api_url}."
            )
        case Kind.FORBIDDEN:
            return error.with_remedy(_about_policy(error) or _about_permissions(settings, anonymous=anonymous))
        case Kind.NOT_FOUND if anonymous:
            return error.with_remedy(
                f"Check `repo` and `api_url`; if {settings.place} is private, a token is needed: set `token` or "
                f"GITHUB_TOKEN."
            )
        case Kind.NOT_FOUND:
            return error.with_remedy(
                f"Check `repo` and `api_url`, and that the token may see {settings.place}: GitHub answers 404 for what "
                f"the token may not see."
            )
        case _:
            return error


def advised_for_labels(error: SourceError, settings: Settings) -> SourceError:
    """`error` of the label counts with an advice that names the permission that they need, where that is missing."""
    return _advised_for(PULL_REQUESTS, error, settings)


def advised_for_tree(error: SourceError, settings: Settings) -> SourceError:
    """`error` of the workflow files with an advice that names the permission that they need, where that is missing."""
    return _advised_for(CONTENTS, error, settings)


def _advised_for(permission: Permission, error: SourceError, settings: Settings) -> SourceError:
    if error.kind is not Kind.FORBIDDEN or _about_policy(error):
        return error
    return error.with_remedy(
        f"The permission {permission.needed} of {settings.place} is needed for {permission.figures}, by a fine-grained "
        f"token or a GitHub App; a classic token needs the scope `{CLASSIC_SCOPE}`."
    )


def _about_permissions(settings: Settings, *, anonymous: bool) -> str:
    names = f"{all_names()} (read)"
    if anonymous:
        return f"GitHub does not return this without a token: set `token` or GITHUB_TOKEN, to read {names}."
    return (
        f"The token is valid but lacks a permission: let it read {names} of {settings.place} (a classic one needs the "
        f"scope `{CLASSIC_SCOPE}`)."
    )


POLICIES: Final = (
    (
        r"ip allow list|your ip address",
        "The organization accepts only addresses on its IP allow list: have an owner add the address from which this "
        "Agent reaches GitHub, or run the check on a host whose address is on it.",
    ),
    (
        r"oauth app.*restrict",
        "The organization restricts OAuth Apps and the token is one's: have an owner approve the app, or use a "
        "fine-grained token or a GitHub App.",
    ),
    (
        r"lifetime",
        "The organization limits how long tokens live: make a token with a shorter lifetime and set it instead.",
    ),
    (
        r"forbids access.*\(classic\)",
        "The organization forbids classic tokens: use a fine-grained token or a GitHub App.",
    ),
    (
        r"forbids access",
        "The organization forbids tokens of this type: use one that its policy allows, or a GitHub App.",
    ),
    (
        r"two-factor|\b2fa\b",
        "The organization requires two-factor authentication of the token's owner: enable it, or use a GitHub App.",
    ),
    (
        r"enterprise managed user",
        "The token's owner is a managed user of an enterprise to which this repository does not belong: use another "
        "token.",
    ),
    (
        r"installation.*suspended",
        "The App's installation is suspended: have an owner of the organization resume it.",
    ),
    (
        r"suspended",
        "GitHub suspended the account of the token's owner: use the token of another account, or a GitHub App.",
    ),
    (
        r"access blocked|has been disabled",
        "GitHub blocked the repository: its page on GitHub gives the reason and whom to ask.",
    ),
    (
        r"administrative rules",
        "GitHub wants a header `User-Agent`: check the `headers` option, and the proxy, which may remove it.",
    ),
    (
        r"an html page",
        "GitHub's API does not answer so: a proxy or firewall on the way refuses the request, or `api_url` is wrong.",
    ),
)
"""The words of a refusal that no permission of the token would change, as a pattern, and what to do about it."""


def _about_policy(error: SourceError) -> str | None:
    """What to do about a refusal that no permission of the token's would change; None for any other."""
    message = error.detail.lower()
    if "saml" in message or "single sign-on" in message or error.authorise_at:
        where = error.authorise_at or "https://github.com/settings/tokens, at the token under Configure SSO"
        return f"The organization requires single sign-on: authorize the token for it at {where}."
    return next((remedy for words, remedy in POLICIES if re.search(words, message)), None)


def _about_limits(error: SourceError, *, anonymous: bool) -> str:
    when = f"it ends at {error.reset_at:%Y-%m-%dT%H:%M:%SZ}" if error.reset_at else "GitHub does not report until when"
    if any(word in error.detail.lower() for word in ("secondary", "abuse")):
        return (
            f"This is the secondary limit (abuse detection), for too much at once, and {when}: do not "
            f"run several collectors on one token at the same moment, and raise `min_collection_interval`."
        )
    if anonymous:
        return (
            f"This is the quota of 60 requests an hour without a token, and {when}: set `token` or GITHUB_TOKEN. "
            f"The check sends no request before that."
        )
    return (
        f"This is the token's hourly quota, and {when}: something else uses it up, so give this check a token of its "
        f"own, or raise `min_collection_interval`."
    )

"""Faults of the AWS identity of this machine: how the AWS client finds its credentials, rather than what it asks for.

The client finds them on its first request, so that these faults come out of whatever was asked. The texts never hold
what a credential process or an endpoint printed.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final, NamedTuple


class IdentityFault(NamedTuple):
    """What is wrong with the identity, and what to do."""

    detail: str
    remedy: str


_OPERATIONS: Final = {
    "AssumeRoleWithWebIdentity": (
        "AWS STS",
        "Check the trust policy of the role AWS_ROLE_ARN, and the service account that the token is for.",
    ),
    "AssumeRole": ("AWS STS", "Check the trust policy of the role, `role_arn` in the AWS configuration."),
    "AssumeRoleWithSAML": ("AWS STS", "Check the trust policy of the role."),
    "GetRoleCredentials": ("AWS SSO", "Run `aws sso login` as the user of this process, or use a role instead."),
    "CreateToken": ("AWS SSO", "Run `aws sso login` as the user of this process, or use a role instead."),
}
"""The requests with which the client gets credentials: who answers them, and what to do about a refusal."""

_OWN_WORDS: Final = frozenset({
    "ConfigNotFound",
    "ConfigParseError",
    "InfiniteLoopConfigError",
    "InvalidConfigError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "RefreshWithMFAUnsupportedError",
    "SSOError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "UnknownCredentialError",
})  # fmt: skip
"""Exceptions of the client whose own texts name the file, the profile or the setting, and no secret."""

_TOKEN_FILES: Final = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "the web identity token of AWS",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "the pod identity token of AWS",
}


def identity_fault(error: Exception) -> IdentityFault | None:
    """What an exception of the AWS client says about this machine's identity; None for one about the request itself."""
    name = type(error).__name__
    operation = str(getattr(error, "operation_name", ""))
    if operation in _OPERATIONS:
        service, remedy = _OPERATIONS[operation]
        code = error_code(error)
        return IdentityFault(f"{service} refuses {operation}{f' ({code})' if code else ''}", remedy)
    if isinstance(error, OSError):
        return _file_fault(error)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return IdentityFault("a source of AWS credentials did not return JSON", _PROCESS)
    if isinstance(error, ValueError) and "quotation" in str(error):
        return IdentityFault("`credential_process` of the AWS configuration has an unclosed quotation mark", _PROCESS)
    if isinstance(error, ValueError) and str(error).startswith("Auth token"):
        remedy = "Check the file AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or AWS_CONTAINER_AUTHORIZATION_TOKEN."
        return IdentityFault("the pod identity token of AWS is not valid", remedy)
    if name == "CredentialRetrievalError":
        return _retrieval_fault(str(details_of(error).get("provider", "")))
    if name == "ParamValidationError" and "WebIdentityToken" in str(error):
        remedy = "Check the projected volume of the service account's token."
        return IdentityFault("the web identity token of AWS is empty", remedy)
    if name in _OWN_WORDS or "SSO" in name:
        remedy = "Correct the AWS configuration of this user: AWS_CONFIG_FILE, AWS_PROFILE, ~/.aws/config."
        if "sso" in name.lower() or "token" in name.lower():
            remedy = "Run `aws sso login` as the user of this process, or use a role instead."
        return IdentityFault(f"the AWS client reports: {' '.join(str(error).split())}", remedy)
    return None


_PROCESS: Final = "Run the program of `credential_process` (~/.aws/config) by hand, as the user of this process."


def _file_fault(error: OSError) -> IdentityFault | None:
    path = error.filename
    if not isinstance(path, str | bytes):
        return None
    shown = os.fsdecode(path)
    reason = (error.strerror or type(error).__name__).lower()
    user = f"Let user {os.geteuid()} read it"
    for variable, what in _TOKEN_FILES.items():
        if os.environ.get(variable) == shown:
            remedy = f"Check {variable}. {user}: in Kubernetes with `securityContext.fsGroup`."
            return IdentityFault(f"{what}, {shown}, cannot be read: {reason}", remedy)
    remedy = f"Correct `credential_process` or `web_identity_token_file` in ~/.aws/config. {user}."
    return IdentityFault(f"{shown}, which the AWS configuration names, cannot be used: {reason}", remedy)


def _retrieval_fault(provider: str) -> IdentityFault:
    if provider == "custom-process":
        return IdentityFault("the program of `credential_process` returned no AWS credentials", _PROCESS)
    if provider == "container-role":
        remedy = "Check AWS_CONTAINER_CREDENTIALS_FULL_URI, the pod identity agent, and the association of its role."
        return IdentityFault("the endpoint of this container returned no AWS credentials", remedy)
    remedy = "Check the AWS configuration of this user, and the role of this machine."
    return IdentityFault(f"the source {provider or 'that is configured'} returned no AWS credentials", remedy)


def response_of(error: Exception) -> dict[str, Any]:
    """What AWS answered, where an exception of the client is about an answer."""
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def error_code(error: Exception) -> str:
    """The code that AWS answered with, empty where the error is about no answer."""
    return str(response_of(error).get("Error", {}).get("Code", ""))


def details_of(error: Exception) -> dict[str, Any]:
    """What the client knows of one of its own exceptions."""
    details = getattr(error, "kwargs", None)
    return details if isinstance(details, dict) else {}

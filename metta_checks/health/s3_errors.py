"""What the exceptions of the AWS client mean for whoever reads from S3, or publishes to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from metta_checks.core.aws_identity_errors import details_of, error_code, identity_fault, response_of
from metta_checks.core.errors import Kind, SourceError


class S3Access(StrEnum):
    """What was wanted of S3: the remedy depends on it."""

    READ = "read"
    WRITE = "write"
    MERGE = "merge"
    """A write that must not replace another one's: it is conditional."""


@contextmanager
def s3_errors(operation: str, access: S3Access = S3Access.READ) -> Iterator[None]:
    """Turns what the AWS client raises in the block into a SourceError; its own texts hold whole addresses."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, RecursionError, OSError, ValueError) as error:
        raise s3_error(error, operation, access) from None


def s3_error(error: Exception, operation: str, access: S3Access) -> SourceError:
    """The error to report for an exception of the AWS client."""
    status = status_of(error)
    if (identity := identity_fault(error)) is not None:
        return SourceError(Kind.UNAUTHORISED, operation, identity.detail, identity.remedy, status=status)
    # An answer without a code in it is not S3's own: a proxy's page.
    code = error_code(error) or str(status or type(error).__name__)
    found = _key_fault(error) or _region_fault(error, code, access) or _missing_feature(error, code, access)
    if found is not None:
        kind, detail, remedy = found
        return SourceError(kind, operation, detail or f"S3 returned {code}", remedy, status=status)
    for codes, kind, detail, remedies in _FAULTS:
        if code in codes:
            remedy = remedies if isinstance(remedies, str) else remedies[access]
            wording = (detail or "S3 returned {code}").format(code=code, host=_host(error))
            return SourceError(kind, operation, wording, remedy, status=status)
    remedy = "Check the address, the region and the AWS configuration of this machine."
    return SourceError(Kind.REJECTED, operation, f"S3 returned {code}", remedy, status=status)


def status_of(error: Exception) -> int | None:
    """The HTTP status of the answer that the error is about."""
    status = response_of(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def header_of(error: Exception, name: str) -> str:
    """A header of that answer, empty where there is none."""
    return str(response_of(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(name, ""))


_Fault = tuple[Kind, str, str]

_KMS_ACTION: Final = re.compile(r"kms:[A-Za-z]{1,40}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_CHECKSUM: Final = re.compile(
    r"x-amz-(?:checksum|sdk-checksum|trailer|content-sha256|te\b)|aws-chunked|chunked|STREAMING-", re.IGNORECASE
)
_CONDITION: Final = re.compile(r"if-(?:none-)?match|conditional", re.IGNORECASE)


def _key_fault(error: Exception) -> _Fault | None:
    """A key of KMS that the bucket is encrypted with."""
    code, message = error_code(error), _message(error)
    if action := _KMS_ACTION.search(message):
        remedy = f"Grant {action[0]} on the KMS key of the bucket, in the policies of the role and of the key."
        return Kind.FORBIDDEN, f"S3 returned {code}: {action[0]} is missing", remedy
    if code.upper().startswith("KMS"):
        return Kind.FORBIDDEN, "", "Check the KMS key that the bucket is encrypted with: it cannot be used now."
    return None


def _region_fault(error: Exception, code: str, access: S3Access) -> _Fault | None:
    """A bucket that is in another region than the one that was asked."""
    region = header_of(error, "x-amz-bucket-region") or str(response_of(error).get("Error", {}).get("Region", ""))
    if code not in _OTHER_REGION and not (region and status_of(error) in {301, 307}):
        return None
    if not _REGION.fullmatch(region):
        region = "REGION"
    option = f"`aws_region: {region}`" if access is S3Access.READ else f"`--aws-region {region}` (`region=` in Python)"
    where = "" if region != "REGION" else ", the one that `aws s3api get-bucket-location` prints"
    return Kind.REDIRECTED, f"S3 returned {code}: the bucket is in another region", f"Set {option}{where}."


_OTHER_REGION: Final = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


def _missing_feature(error: Exception, code: str, access: S3Access) -> _Fault | None:
    """A store other than Amazon's that lacks what the client uses."""
    message = _message(error)
    refused = status_of(error) in {400, 411, 501} and code not in {"NoSuchBucket", "InvalidBucketName"}
    if code in {"FlexibleChecksumError", "ChecksumError"}:
        remedy = "Set AWS_RESPONSE_CHECKSUM_VALIDATION=when_required in the environment, if the store is not Amazon's."
        return Kind.MALFORMED, "the checksum of the response does not match its content", remedy
    if not refused or access is S3Access.READ:
        return None
    if _CHECKSUM.search(message) or code in {"XAmzContentSHA256Mismatch", "MissingContentLength"}:
        remedy = "This store takes no checksum headers: set AWS_REQUEST_CHECKSUM_CALCULATION=when_required."
        return Kind.REJECTED, "", remedy
    if access is S3Access.MERGE and (code == "NotImplemented" or _CONDITION.search(message)):
        remedy = (
            "This store has no conditional writes: publish without --merge, each pipeline to an object of its own, and "
            "let the check read their common prefix."
        )
        return Kind.REJECTED, "", remedy
    if code == "NotImplemented":
        remedy = "This store lacks something: try AWS_REQUEST_CHECKSUM_CALCULATION=when_required."
        return Kind.REJECTED, "", remedy
    return None


_CREDENTIALS: Final[Mapping[S3Access, str]] = {
    S3Access.READ: "Give the Agent's pod or machine a role that may read the bucket.",
    S3Access.WRITE: "Give this job a role that may write to the bucket.",
    S3Access.MERGE: "Give this job a role that may read and write the object.",
}

_FAULTS: Final[tuple[tuple[set[str], Kind, str, str | Mapping[S3Access, str]], ...]] = (
    (
        {"NoSuchKey", "NoSuchBucket", "404"},
        Kind.NOT_FOUND,
        "",
        {
            S3Access.READ: (
                "Check the bucket and the key, and that the pipeline has published; for a folder of documents end it "
                "with `/`."
            ),
            S3Access.WRITE: "Check the name of the bucket, or create it.",
            S3Access.MERGE: "Check the name of the bucket, or create it.",
        },
    ),
    (
        {"AccessDenied", "403", "AllAccessDisabled", "AccountProblem"},
        Kind.FORBIDDEN,
        "",
        {
            S3Access.READ: "Grant s3:GetObject and s3:ListBucket; without s3:ListBucket, S3 reports a "
            "missing object as AccessDenied too.",
            S3Access.WRITE: "Grant s3:PutObject on the object, in the policies of this job's role and of the bucket.",
            S3Access.MERGE: (
                "A merge needs s3:PutObject, s3:GetObject and s3:ListBucket: grant them in the policies of this "
                "job's role and of the bucket."
            ),
        },
    ),
    (
        {
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "TokenRefreshRequired",
            "RequestTimeTooSkewed",
        },
        Kind.UNAUTHORISED,
        "",
        "Check the AWS credentials of this machine, and its clock.",
    ),
    ({"NoCredentialsError", "NoAuthTokenError"}, Kind.UNAUTHORISED, "there are no AWS credentials here", _CREDENTIALS),
    (
        {"SlowDown", "RequestLimitExceeded", "TooManyRequestsException"},
        Kind.RATE_LIMITED,
        "",
        {
            S3Access.READ: "Raise `min_collection_interval`, or keep fewer objects there.",
            S3Access.WRITE: "Publish again later, or less often.",
            S3Access.MERGE: "Publish again later, or less often.",
        },
    ),
    (
        {"ConnectTimeoutError", "ReadTimeoutError", "TimeUpError"},
        Kind.TIMED_OUT,
        "{host} did not respond in time",
        "Check the network between here and S3.",
    ),
    (
        {"EndpointConnectionError", "ProxyConnectionError", "ConnectionClosedError", "SSLError", "HTTPClientError"},
        Kind.UNREACHABLE,
        "{host} cannot be reached",
        "Check the network, the region, and AWS_ENDPOINT_URL where it is set.",
    ),
    (
        {"OversizedError"},
        Kind.OVERSIZED,
        "a response that is larger than any of S3",
        "Something other than S3 responds there: check AWS_ENDPOINT_URL and the proxy.",
    ),
    (
        {"IncompleteReadError", "ResponseStreamingError"},
        Kind.UNREACHABLE,
        "the response was cut short",
        "The next collection tries again.",
    ),
    (
        {"ParamValidationError", "InvalidBucketName", "NoRegionError", "InvalidRegionError", "ValueError"},
        Kind.REJECTED,
        "the bucket, the region or the endpoint is not valid",
        {
            S3Access.READ: "Check `source`, `aws_region` and AWS_ENDPOINT_URL.",
            S3Access.WRITE: "Check the address, --aws-region and AWS_ENDPOINT_URL.",
            S3Access.MERGE: "Check the address, --aws-region and AWS_ENDPOINT_URL.",
        },
    ),
    (
        # The AWS client follows a redirect by asking again, without an end where it is always redirected.
        {"RecursionError"},
        Kind.REDIRECTED,
        "S3 redirects in a circle",
        "Check AWS_ENDPOINT_URL, the region and the proxy.",
    ),
    (
        {"InternalError", "ServiceUnavailable", "500", "503"},
        Kind.SERVER_ERROR,
        "",
        {
            S3Access.READ: "Look at the status page of AWS; the next collection tries again.",
            S3Access.WRITE: "Look at the status page of AWS, and publish again.",
            S3Access.MERGE: "Look at the status page of AWS, and publish again.",
        },
    ),
)


def _host(error: Exception) -> str:
    """Who did not answer: S3, or what gives the AWS client its credentials."""
    endpoint = str(details_of(error).get("endpoint_url", ""))
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        host = ""
    return host or "S3"


def _message(error: Exception) -> str:
    """The text of the answer, which is matched and never shown: it may hold names of the account."""
    return str(response_of(error).get("Error", {}).get("Message", ""))

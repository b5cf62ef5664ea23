"""Reads one secret of AWS Secrets Manager, within a few seconds whatever AWS does."""

from __future__ import annotations

from typing import Final

from metta_checks.core.aws_identity_errors import error_code, identity_fault, response_of
from metta_checks.core.deadline import Deadline
from metta_checks.core.decode import parse_json
from metta_checks.core.work import LateError, Work

AWS_LOOKUP_SECONDS: Final = 5.0
"""The time that one look into AWS may take in all, the search for AWS credentials included."""


class AwsSecretError(Exception):
    """Why AWS gave no secret, in words that hold no secret; `settled` says that it has none for whoever asks here."""

    def __init__(self, text: str, *, settled: bool = False) -> None:
        super().__init__(text)
        self.settled = settled


class AwsLookup:
    """One look into AWS, on a thread of its own that ends after five seconds: the AWS client searches several places
    for credentials, each with a patience of its own, and none of its settings bounds the sum. Only a
    `credential_process` of the AWS configuration can hold it longer."""

    def __init__(self, secret: str, region: str | None) -> None:
        self._work = Work(lambda: _read_secret(secret, region), "metta-aws-secret")
        self._is_used = False

    @property
    def spent(self) -> bool:
        """Whether nothing new can be had of it: it ended, and its secret was used, or it found none."""
        return not self._work.is_running and (self._is_used or not self._has_secret())

    def outcome(self, time_left: float) -> str:
        """The secret's text. Raises AwsSecretError with the reason when there is none, or none in time."""
        patience = min(AWS_LOOKUP_SECONDS, time_left)
        try:
            secret = self._work.result(patience)
        except LateError:
            raise AwsSecretError(f"AWS did not respond within {patience:.2g} s") from None
        except AwsSecretError:
            raise
        except Exception as error:
            raise AwsSecretError(f"AWS client fault {type(error).__name__}") from None
        self._is_used = True
        return secret

    def _has_secret(self) -> bool:
        try:
            self._work.result(0)
        except Exception:
            return False
        return True


def _read_secret(name: str, region: str | None) -> str:
    # Imported here: most instances have a key in their options, and botocore costs a second and 30 MB to load.
    try:
        from botocore.exceptions import BotoCoreError, ClientError

        from metta_checks.core import aws
    except ImportError:
        raise AwsSecretError("boto3 is not installed", settled=True) from None
    retries = {"total_max_attempts": 1}
    try:
        with aws.within(Deadline(AWS_LOOKUP_SECONDS)):
            client = aws.client("secretsmanager", region, connect_timeout=2, read_timeout=3, retries=retries)
            answer = client.get_secret_value(SecretId=name)
    except (ClientError, BotoCoreError, OSError, ValueError) as error:
        raise _aws_error(error) from None
    secret = answer.get("SecretString")
    if not isinstance(secret, str):
        raise AwsSecretError("it is binary; store it as text")
    return secret


def _aws_error(error: Exception) -> AwsSecretError:
    name = type(error).__name__
    if (fault := identity_fault(error)) is not None:
        return AwsSecretError(f"{fault.detail}. {fault.remedy.rstrip('.')}")
    if name in _PLAIN:
        return AwsSecretError(_PLAIN[name], settled=name in {"NoCredentialsError", "NoRegionError"})
    if response_of(error):
        code = error_code(error) or "an error"
        return AwsSecretError(f"AWS returned {code}", settled=code == "ResourceNotFoundException")
    return AwsSecretError(f"AWS client fault {name}")


_PLAIN: Final = {
    "NoCredentialsError": "no AWS credentials here",
    "NoRegionError": "no AWS region is set; use the option `aws_region` or AWS_REGION",
    "EndpointConnectionError": "AWS cannot be reached",
    "ConnectTimeoutError": "AWS cannot be reached",
    "ReadTimeoutError": "AWS did not respond in time",
    "TimeUpError": "AWS did not respond in time",
    "OversizedError": "AWS returned more than a secret can have",
}


def only_value(text: str) -> str:
    """The secret itself: a plain string, or the one value of a JSON object."""
    text = text.strip()
    if not text:
        raise AwsSecretError("it is empty")
    if not text.startswith("{"):
        return text
    try:
        document = parse_json(text)
    except ValueError:
        return text
    values = list(document.values())
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].strip():
        raise AwsSecretError(
            "it is a JSON object that does not hold exactly one text; store the plain key or one entry"
        )
    return values[0].strip()

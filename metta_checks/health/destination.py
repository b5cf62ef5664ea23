"""Where health records are published to: a local file or an S3 object, replaced in one step."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from metta_checks.core.atomic_write import STANDARD_OUTPUT, WriteError, resolved, write_output
from metta_checks.core.aws_identity_errors import error_code
from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.printable import printable
from metta_checks.health.document import Document, Limits
from metta_checks.health.local import os_fault, read_file
from metta_checks.health.merge_lock import merge_lock
from metta_checks.health.s3 import SCHEME, Address, get_object, parse_address, s3_client, s3_within
from metta_checks.health.s3_errors import S3Access, s3_errors

MERGE_ATTEMPTS: Final = 5
"""How often a merge into an S3 object starts again because another publisher was quicker."""

S3_SECONDS: Final = 60.0
"""How long publishing to S3 may take in all."""

Merge = Callable[[Document | None], str]
"""What to write, given what is there; None where nothing is."""


class Destination(Protocol):
    """A place for one document."""

    def replace(self, text: str) -> None:
        """Write `text`, whatever is there. Raises SourceError."""

    def update(self, merge: Merge, limits: Limits) -> None:
        """Write `merge(what is there)`, so that no other publisher's records get lost. Raises SourceError."""


def destination_of(text: str, *, region: str | None = None) -> Destination:
    """The destination that `text` names: `s3://bucket/key`, a file, or `-` for standard output.

    Raises ValueError for anything else.
    """
    if not text.startswith(SCHEME):
        if not text or "://" in text or "\0" in text:
            raise ValueError(f"{printable(text)!r} is no destination: write a file's path or s3://bucket/key")
        return LocalFile(Path(text))
    address = parse_address(text)
    if address.is_prefix:
        raise ValueError(f"{address} names a prefix: publish to one object under it, such as {address}results.json")
    return S3Object(address, region)


class LocalFile:
    """A file, or standard output (`-`). Readers see the old document or the new one, never a part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tried = f"publishing to {'standard output' if path == STANDARD_OUTPUT else printable(str(path))}"

    def replace(self, text: str) -> None:
        """See `Destination.replace`."""
        try:
            write_output(self._path, text)
        except WriteError as error:
            raise self._fault(error) from None

    def update(self, merge: Merge, limits: Limits) -> None:
        """See `Destination.update`."""
        if self._path == STANDARD_OUTPUT:
            remedy = "Name the document to merge into."
            raise SourceError(Kind.REJECTED, self._tried, "there is nothing to merge with", remedy)
        try:
            # Whoever publishes through a link has to find the lock of those who name the file itself.
            self._path = resolved(self._path)
            with merge_lock(self._path):
                self.replace(merge(self._existing(limits)))
        except WriteError as error:
            raise self._fault(error) from None
        except OSError as error:
            raise os_fault(error, self._tried) from None

    def _fault(self, error: WriteError) -> SourceError:
        kind = _KINDS.get(error.errno or 0, Kind.REJECTED)
        return SourceError(kind, self._tried, error.detail, error.remedy)

    def _existing(self, limits: Limits) -> Document | None:
        try:
            return read_file(self._path, limits)
        except SourceError as error:
            if error.kind is Kind.NOT_FOUND:
                return None
            raise


_KINDS: Final = {
    errno.ENOENT: Kind.NOT_FOUND,
    errno.ENOTDIR: Kind.NOT_FOUND,
    errno.EACCES: Kind.FORBIDDEN,
    errno.EPERM: Kind.FORBIDDEN,
    errno.EROFS: Kind.FORBIDDEN,
}


class S3Object:
    """An S3 object, which S3 itself replaces in one step."""

    def __init__(self, address: Address, region: str | None) -> None:
        self._address = address
        self._region = region
        self._made: Any = None
        self._tried = f"publishing to {address}"

    def replace(self, text: str) -> None:
        """See `Destination.replace`."""
        with s3_within(Deadline(S3_SECONDS)):
            self._put(text, S3Access.WRITE)

    def update(self, merge: Merge, limits: Limits) -> None:
        """See `Destination.update`. S3 refuses the write when the object is no longer the one that was read."""
        with s3_within(Deadline(S3_SECONDS)):
            for _ in range(MERGE_ATTEMPTS):
                existing = self._existing(limits)
                condition = {"IfNoneMatch": "*"} if existing is None else {"IfMatch": existing.fingerprint}
                text = merge(existing)
                if self._put(text, S3Access.MERGE, **condition):
                    return
        remedy = "Let pipelines that run side by side publish to an object each, and read their common prefix."
        raise SourceError(Kind.REJECTED, self._tried, f"it changed {MERGE_ATTEMPTS} times meanwhile", remedy)

    def _existing(self, limits: Limits) -> Document | None:
        try:
            return get_object(self._client(S3Access.MERGE), self._address, limits, access=S3Access.MERGE)
        except SourceError as error:
            if error.kind is Kind.NOT_FOUND and error.status == 404:
                return None
            raise

    def _put(self, text: str, access: S3Access, **condition: Any) -> bool:
        """Whether it was written; not where the object no longer satisfies `condition`. Raises SourceError."""
        from botocore.exceptions import ClientError

        client = self._client(access)
        with s3_errors(self._tried, access):
            try:
                client.put_object(
                    Bucket=self._address.bucket,
                    Key=self._address.key,
                    Body=text.encode("utf-8"),
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                if not condition or error_code(error) not in _CHANGED_MEANWHILE:
                    raise
                return False
        return True

    def _client(self, access: S3Access) -> Any:
        if self._made is None:
            self._made = s3_client(self._region, access)
        return self._made


_CHANGED_MEANWHILE: Final = {"PreconditionFailed", "ConditionalRequestConflict"}

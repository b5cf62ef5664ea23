"""Health records in S3: one object, or the `*.json` objects under a prefix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from metta_checks.core.collection import Collection
from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import http_date
from metta_checks.core.printable import printable
from metta_checks.health.document import Document, Limits, oversized, parse_document
from metta_checks.health.s3_errors import S3Access, header_of, s3_errors, status_of
from metta_checks.health.sources import Bounded, Candidate, DocumentCache, SourceReading, is_published, read_candidates

SCHEME: Final = "s3://"

MAX_LISTED: Final = 20_000
"""Objects that a prefix may have: S3 lists them by name, so that the newest of more cannot be told."""

_CHUNK: Final = 64 * 1024


class Address(NamedTuple):
    """An object, or with a key that ends in `/` or is empty the `*.json` objects under it."""

    bucket: str
    key: str

    @property
    def is_prefix(self) -> bool:
        return not self.key or self.key.endswith("/")

    def __str__(self) -> str:
        return printable(f"{SCHEME}{self.bucket}/{self.key}")


def parse_address(text: str) -> Address:
    """The address in `s3://bucket/key`. Raises ValueError for anything else."""
    bucket, slash, key = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME) or not bucket or not slash:
        raise ValueError(f"{printable(text)} is no S3 address: write s3://bucket/key, or s3://bucket/prefix/")
    return Address(bucket, key)


@contextmanager
def s3_within(deadline: Deadline) -> Iterator[None]:
    """A block in which S3 may be asked; what is not answered by `deadline` ends with it. Raises SourceError where there
    is no AWS client."""
    with _aws().within(deadline):
        yield


def s3_client(region: str | None, access: S3Access = S3Access.READ) -> Any:
    """An S3 client with short patience, for use inside of `s3_within`: its credentials are looked for at once. Raises
    SourceError where there is none to be had."""
    aws = _aws()
    retries = {"total_max_attempts": 3, "mode": "standard"}
    with s3_errors("opening S3", access):
        return aws.client("s3", region, connect_timeout=5, read_timeout=10, retries=retries)


def _aws() -> Any:
    # Imported here: it costs a second and 30 MB, which a reader of local files need not pay.
    try:
        from metta_checks.core import aws
    except ImportError:
        remedy = "Install boto3, which every Agent ships."
        raise SourceError(Kind.UNREACHABLE, "opening S3", "boto3 is not installed", remedy) from None
    return aws


class S3Reader:
    """Reads an address with the machine's AWS credentials. Every request counts, retries included."""

    def __init__(self, address: Address, region: str | None) -> None:
        self._address = address
        self._region = region
        self._bounded: Bounded[SourceReading] = Bounded(f"reading health records from {address}")
        self._running = threading.local()

    @property
    def shown(self) -> str:
        return str(self._address)

    def read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:
        """All documents of the address; see `Reader.read`."""
        return self._bounded.run(partial(self._read, collection, limits, cache), collection.deadline)

    @cached_property
    def _client(self) -> Any:
        client = s3_client(self._region)
        client.meta.events.register("before-send.s3", self._before_send)
        return client

    def _before_send(self, **_: Any) -> None:
        collection: Collection = self._running.collection
        if collection.deadline.expired:
            remedy = "`collection_timeout` sets how long a collection may take."
            raise SourceError(Kind.TIMED_OUT, f"reading health records from {self.shown}", "the time is up", remedy)
        collection.count_request()

    def _read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:
        # Requests are counted by thread: one that was left behind must not count for a later collection.
        self._running.collection = collection
        with s3_within(collection.deadline):
            if self._address.is_prefix:
                candidates = list(self._listed(limits))
                return read_candidates(self.shown, candidates, collection, limits, cache)
            document = get_object(self._client, self._address, limits, cache.get(self.shown))
            cache[document.name] = document
            return SourceReading((document,))

    def _listed(self, limits: Limits) -> Iterator[Candidate]:
        operation = f"listing {self.shown}"
        try:
            with s3_errors(operation):
                yield from self._pages(operation, limits)
        except (KeyError, AttributeError):
            remedy = "Something other than S3 responds there: check AWS_ENDPOINT_URL and the proxy."
            raise SourceError(Kind.MALFORMED, operation, "a listing of an unknown shape", remedy) from None

    def _pages(self, operation: str, limits: Limits) -> Iterator[Candidate]:
        bucket, prefix = self._address
        listed = 0
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            items = page.get("Contents", ())
            listed += len(items)
            if listed > MAX_LISTED:
                remedy = "Let a lifecycle rule delete old ones, or name a narrower prefix."
                raise SourceError(Kind.OVERSIZED, operation, f"more than {MAX_LISTED:,} objects", remedy)
            for item in items:
                if _is_visible(item["Key"].removeprefix(prefix)):
                    yield self._candidate(Address(bucket, item["Key"]), item, limits)

    def _candidate(self, address: Address, item: dict[str, Any], limits: Limits) -> Candidate:
        def read(previous: Document | None) -> Document:
            if previous is not None and previous.fingerprint == item["ETag"]:
                return previous.with_time(modified)
            return get_object(self._client, address, limits, previous)

        modified = item["LastModified"].astimezone(UTC)
        return Candidate(str(address), int(item["Size"]), modified, read)


def _is_visible(key: str) -> bool:
    """Whether an object counts; `key` is the part below the prefix."""
    *folders, name = key.split("/")
    return is_published(name) and not any(folder.startswith(".") for folder in folders)


def get_object(
    client: Any, address: Address, limits: Limits, previous: Document | None = None, access: S3Access = S3Access.READ
) -> Document:
    """The document at `address`; `previous` when it is still the same by its ETag. Raises SourceError."""
    from botocore.exceptions import ClientError

    name = str(address)
    operation = f"reading health records from {name}"
    place = {"Bucket": address.bucket, "Key": address.key}
    condition = {"IfNoneMatch": previous.fingerprint} if previous is not None and previous.fingerprint else {}
    with s3_errors(operation, access):
        try:
            answer = client.get_object(**place, **condition)
        except ClientError as error:
            if previous is None or status_of(error) != 304:
                raise
            # The ETag is of the content alone: the same content may have been put anew.
            modified = http_date(header_of(error, "last-modified"))
            if modified is None and previous.has_undated_records:
                modified = _modified(client.head_object(**place))
            return previous.with_time(modified)
        data = _body(answer, name, limits)
    return parse_document(name, data, limits, fingerprint=answer.get("ETag"), modified=_modified(answer))


def _modified(answer: dict[str, Any]) -> datetime | None:
    # S3 always tells; what stands in its place may not.
    modified: datetime | None = answer.get("LastModified")
    return modified.astimezone(UTC) if modified is not None else None


def _body(answer: dict[str, Any], name: str, limits: Limits) -> bytes:
    with closing(answer["Body"]) as body:
        if answer.get("ContentLength", 0) > limits.max_bytes:
            raise oversized(name, limits)
        content = bytearray()
        while part := body.read(_CHUNK):
            content += part
            if len(content) > limits.max_bytes:
                raise oversized(name, limits)
        return bytes(content)

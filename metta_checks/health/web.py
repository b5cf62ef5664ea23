"""Health records behind an HTTP address: one document, asked for conditionally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metta_checks.core.collection import Collection
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.faults import display_url, http_date
from metta_checks.core.transport import Transport
from metta_checks.health.document import Document, Limits, oversized, parse_document
from metta_checks.health.reading import Kept, Reading


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server says to recognise a document by; empty where it says nothing."""

    etag: str
    last_modified: str


class WebReader:
    """Reads one URL through the check's own HTTP (`transport` makes it on first use)."""

    def __init__(self, url: str, transport: Callable[[], Transport]) -> None:
        self._url = url
        self._transport = transport

    @property
    def shown(self) -> str:
        return display_url(self._url)

    def read(self, collection: Collection, limits: Limits, kept: Kept) -> Reading:  # noqa: ARG002 (the transport counts)
        """The document of the address; see `Reader.read`."""
        document = self._read(limits, kept.get(self.shown))
        kept[document.name] = document
        return Reading((document,))

    def _read(self, limits: Limits, previous: Document | None) -> Document:
        try:
            answer = self._transport().send("GET", self._url, about="health records", headers=_conditions(previous))
        except SourceError as error:
            raise oversized(self.shown, limits) if error.kind is Kind.OVERSIZED else error from None
        if answer.status == 304 and previous is not None:
            return previous.published_again(http_date(answer.headers.get("last-modified", "")))
        validators = Validators(answer.headers.get("etag", ""), answer.headers.get("last-modified", ""))
        if previous is not None and validators.etag and previous.fingerprint == validators:
            return previous
        modified = http_date(validators.last_modified)
        return parse_document(self.shown, answer.body, limits, fingerprint=validators, modified=modified)


def _conditions(previous: Document | None) -> Mapping[str, str]:
    if previous is None or not isinstance(previous.fingerprint, Validators):
        return {}
    # A server that knows both ignores the date, which is good to the second only.
    said = {
        "If-None-Match": previous.fingerprint.etag,
        "If-Modified-Since": previous.fingerprint.last_modified,
    }
    return {name: value for name, value in said.items() if value}

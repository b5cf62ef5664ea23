"""Health records behind an HTTP address: one document, asked for conditionally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from metta_checks.core.collection import Collection
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.faults import display_url, http_date
from metta_checks.core.transport import Transport
from metta_checks.health.document import Document, Limits, oversized, parse_document
from metta_checks.health.reading import Kept, Reading

RESOLUTION: Final = timedelta(seconds=1)
"""How long after Last-Modified an answer must have been made for that date to identify its content."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies a document at its server: an ETag, and a Last-Modified that is a strong validator. Empty where
    there is none."""

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
        modified = http_date(answer.headers.get("last-modified", ""))
        validators = _validators(answer.headers)
        return parse_document(self.shown, answer.body, limits, fingerprint=validators, modified=modified)


def _validators(headers: Mapping[str, str]) -> Validators:
    """A Last-Modified date is good to the second: of an answer made in that second the content may change once more
    without a new date (RFC 9110, 8.8.2.2). Without a Date nothing shows that it was not."""
    last_modified = headers.get("last-modified", "")
    modified, answered = http_date(last_modified), http_date(headers.get("date", ""))
    strong = modified is not None and answered is not None and answered - modified >= RESOLUTION
    return Validators(headers.get("etag", ""), last_modified if strong else "")


def _conditions(previous: Document | None) -> Mapping[str, str]:
    if previous is None or not isinstance(previous.fingerprint, Validators):
        return {}
    # A server that implements both ignores the date.
    said = {
        "If-None-Match": previous.fingerprint.etag,
        "If-Modified-Since": previous.fingerprint.last_modified,
    }
    return {name: value for name, value in said.items() if value}

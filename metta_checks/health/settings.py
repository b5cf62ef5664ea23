"""The options of the health checks: their rules, the settings made of them, and the reader that `source` needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from metta_checks.core.address import require_address
from metta_checks.core.definition import RecordOrigin
from metta_checks.core.duration import parse_duration
from metta_checks.core.errors import SourceError
from metta_checks.core.http_errors import display_url
from metta_checks.core.option_errors import parsed
from metta_checks.core.printable import printable
from metta_checks.core.tags import keys_of
from metta_checks.core.transport import Transport
from metta_checks.health.document import Limits
from metta_checks.health.local import LocalReader
from metta_checks.health.metrics import JudgeOptions
from metta_checks.health.s3 import S3Reader, parse_address
from metta_checks.health.sources import Reader, WebReader


@dataclass(frozen=True, slots=True)
class Settings:
    """What one instance reads, within which limits, and how it judges; `region` is that of AWS."""

    source: str
    region: str | None
    limits: Limits
    judging: JudgeOptions

    @classmethod
    def from_options(cls, options: Any, origin: RecordOrigin, instance_tags: Iterable[str]) -> Settings:
        """The settings of validated options. Raises OptionError for a source that is not set, or is of no form."""
        return cls(
            source=parsed("source", lambda text: str(instance_source(text, None)), options.source),
            region=options.aws_region,
            limits=Limits(options.max_bytes, options.max_records),
            judging=JudgeOptions(
                origin,
                parsed("max_age", parse_duration, options.max_age),
                frozenset(keys_of(instance_tags)),
                frozenset(options.annotation_tags or ()),
            ),
        )

    def reader(self, transport: Callable[[], Transport]) -> Reader:
        """The reader of the source; `transport` makes the HTTP client on first use."""
        match _scheme(self.source):
            case "":
                return LocalReader(self.source)
            case "s3":
                return S3Reader(parse_address(self.source), self.region)
            case _:
                return WebReader(self.source, transport)


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def instance_source(value: Any, field: Any) -> Any:  # noqa: ARG001 (the generated models pass it)
    """A `source` without the blanks around it, refused where it is none of the forms; for the models' validators.

    With a blank in front an address would be a path, and one that leads anywhere: ` s3:///../../etc`.
    """
    if isinstance(value, str):
        value = value.strip()
        scheme = _scheme(value)
        match scheme:
            case "s3":
                parse_address(value)
            case "http" | "https":
                _require_address(value)
            case "":
                if "\0" in value:
                    raise ValueError("a path cannot hold a NUL character")
            case _:
                forms = "a path, s3://bucket/key, or http(s)://host/path"
                raise ValueError(f"{scheme}:// is not supported: write {forms}")
    return value


def instance_max_age(value: Any, field: Any) -> Any:  # noqa: ARG001 (the generated models pass it)
    """Refuses a `max_age` that is no duration; for the models' validators."""
    if isinstance(value, str):
        parse_duration(value)
    return value


def source_name(source: str) -> str:
    """A `source` as messages name it: without the query of an address, which may be a credential."""
    return display_url(source) if _scheme(source) in {"http", "https"} else printable(source)


def is_local(source: str) -> bool:
    """Whether `source` names files of this machine."""
    return not _scheme(source)


def _require_address(url: str) -> None:
    try:
        require_address(url, "")
    except SourceError as error:
        raise ValueError(f"{error.detail}. {error.remedy}") from None


def _scheme(source: str) -> str:
    """The part before `://`, empty for a local path."""
    found = _SCHEME.match(source)
    return found[1] if found else ""

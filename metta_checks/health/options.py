"""The options that every health check has: what they may say, and the reader that `source` asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from metta_checks.core.address import require_address
from metta_checks.core.duration import parse_duration
from metta_checks.core.errors import SourceError
from metta_checks.core.faults import display_url
from metta_checks.core.printable import printable
from metta_checks.core.transport import Transport
from metta_checks.health.local import LocalReader
from metta_checks.health.reading import Reader
from metta_checks.health.s3 import S3Reader, parse_address
from metta_checks.health.web import WebReader

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


def reader_of(source: str, *, region: str | None, transport: Callable[[], Transport]) -> Reader:
    """The reader of a `source` that `instance_source` let pass."""
    match _scheme(source):
        case "":
            return LocalReader(source)
        case "s3":
            return S3Reader(parse_address(source), region)
        case _:
            return WebReader(source, transport)


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
        raise ValueError(f"{error.came_back}. {error.remedy}") from None


def _scheme(source: str) -> str:
    """The part before `://`, empty for a local path."""
    found = _SCHEME.match(source)
    return found[1] if found else ""

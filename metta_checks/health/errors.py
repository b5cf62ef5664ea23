"""What publishing raises: each error is a `PublishError`, and names the records by their position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metta_checks.core.errors import SourceError
from metta_checks.health.document import EntryFault

NAMED: Final = 10
"""Faults that the text of an InvalidResultsError names."""


class PublishError(Exception):
    """Nothing was published."""


class InvalidResultsError(PublishError, ValueError):
    """Records that cannot be published.

    `faults` has one for each bad record: its `position`, from 1, and the `problem`, which names the fields. Position 0
    is what was given in place of a list.
    """

    def __init__(self, faults: Sequence[EntryFault]) -> None:
        shown = [str(fault) for fault in faults[:NAMED]]
        if len(faults) > NAMED:
            shown.append(f"and {len(faults) - NAMED} more")
        super().__init__("\n".join(shown))
        self.faults = tuple(faults)

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of the bad records, each once."""
        return tuple(dict.fromkeys(fault.position for fault in self.faults))


class EmptyResultsError(InvalidResultsError):
    """No records at all, which would leave an empty document."""

    def __init__(self, operation: str, on_purpose: str = "") -> None:
        """`on_purpose` is what allows it where the caller has such an option: `--allow-empty`."""
        super().__init__(())
        allowed = f"; to publish none on purpose, use {on_purpose}" if on_purpose else ""
        text = "there is no record, and an empty document leaves nothing to judge. Look at the step that makes them"
        self.args = (f"{operation}: {text}{allowed}.",)


class DestinationError(PublishError, SourceError):
    """The destination cannot be written, or read for a merge. `kind`, `detail` and `remedy` say why."""

    @classmethod
    def of(cls, error: SourceError) -> DestinationError:
        """The same error as one of publishing."""
        return cls(
            error.kind, error.operation, error.detail, error.remedy, status=error.status, from_file=error.from_file
        )


class DestinationNameError(PublishError, ValueError):
    """What was given as destination is neither a path nor `s3://bucket/key`."""


class PublishOptionError(PublishError, ValueError):
    """An option of publishing that cannot be used."""


class RulesError(PublishError, ValueError):
    """Rules that cannot be used, or that do not fit the result; `faults` has one line for each, with its place."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)

"""Records that a job makes on its way, published once at its end."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from os import PathLike, fspath
from types import TracebackType
from typing import Any, Final

from metta_checks.core.clock import Clock, utcnow
from metta_checks.core.printable import printable
from metta_checks.health.errors import EmptyResultsError, PublishOptionError
from metta_checks.health.identity import ANNOTATION_TAGS
from metta_checks.health.publishing import named_destination, publish, require_options, validated
from metta_checks.health.record import Record

_LOG: Final = logging.getLogger("metta_checks.health")


class RecordCollector:
    """Gathers health records during a job and publishes them when the `with` block ends, also when the job fails.

    ```python
    with RecordCollector("s3://metta-health/training/arena.json", suite="training", workflow_name="arena") as health:
        ...
        health.add(metric="hearts", value=0.91, condition="> 0.5", task="trains", check="reward_threshold")
    ```

    `fields` are those that all records share, `tags` among them; `options` of `publish` are `suite`, `merge`, `region`,
    `lenient` and `annotation_tags`. A record without a timestamp gets the time at which it was added. A later record of
    the same identity replaces an earlier one.

    A job that fails publishes what it has, with `merge`: a verdict that it did not get to stays, and turns stale, and
    does not vanish. An error of publishing never takes the place of the job's own: it is logged, and noted on that one.
    """

    def __init__(
        self,
        destination: str | PathLike[str],
        *,
        merge: bool = False,
        suite: str | None = None,
        lenient: bool = False,
        region: str | None = None,
        annotation_tags: Collection[str] | None = None,
        clock: Clock = utcnow,
        **fields: Any,
    ) -> None:
        """Raises DestinationNameError and PublishOptionError: before the job begins, rather than at its end."""
        annotations = ANNOTATION_TAGS if annotation_tags is None else annotation_tags
        require_options(suite, annotations)
        _require_fields(fields)
        named_destination(destination, region)
        self._destination = destination
        self._merge = merge
        self._options: dict[str, Any] = {"suite": suite, "lenient": lenient}
        self._publishing: dict[str, Any] = {"region": region, "annotation_tags": tuple(annotations)}
        self._clock = clock
        self._fields = fields
        self._records: list[Record] = []
        self._published = 0

    def __del__(self) -> None:
        # Not of one whose constructor raised.
        left = len(getattr(self, "_records", ())) - getattr(self, "_published", 0)
        if left > 0:
            _LOG.warning(
                "%d health records were collected and not published: use the collector in a `with` block", left
            )

    @property
    def records(self) -> tuple[Record, ...]:
        """What was added so far."""
        return tuple(self._records)

    def add(self, record: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Add one record: the shared fields, those of `record`, and `fields`.

        Raises InvalidResultsError, with the position that it would have, where it cannot be published.
        """
        given = {**self._fields, **(record or {}), **fields}
        tags = [part["tags"] for part in (self._fields, record or {}, fields) if part.get("tags") is not None]
        if tags and all(isinstance(part, Mapping) for part in tags):
            given["tags"] = {key: value for part in tags for key, value in part.items()}
        first = len(self._records) + 1
        self._records += validated([given], self._clock(), first=first, **self._options)

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add several records, such as those of `convert`."""
        for record in records:
            self.add(record)

    def publish(self, *, merge: bool | None = None) -> int:
        """Publish now what was added so far; returns how many records the document has. Raises PublishError."""
        merge = self._merge if merge is None else merge
        if not self._records:
            raise EmptyResultsError(f"publishing to {printable(fspath(self._destination))}")
        options = {**self._options, **self._publishing}
        # Whatever becomes of it, nobody forgot it.
        self._published = len(self._records)
        return publish(self._records, self._destination, merge=merge, now=self._clock(), **options)

    def __enter__(self) -> RecordCollector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.publish()
        elif self._records:
            try:
                self.publish(merge=True)
            except Exception as problem:
                text = f"health records were not published to {printable(fspath(self._destination))}: {problem}"
                error.add_note(text)
                _LOG.error("%s", text)


def _require_fields(fields: Iterable[str]) -> None:
    """Raises PublishOptionError for a shared field that no record has: it may be a misspelled option."""
    for name in fields:
        if name not in Record.model_fields:
            known = ", ".join(Record.model_fields)
            raise PublishOptionError(f"{printable(name)}: is neither an option nor a field of a record: {known}")

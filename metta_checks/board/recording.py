"""Collections as `collect --format json` writes them, put together into series over time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from metta_checks.board.filters import Tags, key_and_value
from metta_checks.core.decode import first_problem
from metta_checks.core.sample import SampleKind

ROUND: Final = timedelta(seconds=60)
"""Collections that are no further apart belong to one round, and share its moment: the checks run one after another.
A series that is already in the round begins the next one."""


class RecordingError(ValueError):
    """A document holds no collections; the text says what is wrong with it."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Sample(_Model):
    metric: str
    type: SampleKind
    value: float
    tags: tuple[str, ...]


class _Collection(_Model):
    at: AwareDatetime
    metrics: tuple[_Sample, ...]


class _Document(_Model):
    check: str
    collections: Annotated[tuple[_Collection, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Point:
    """One submitted value; the tags are as Datadog keeps them."""

    at: datetime
    value: float
    tags: Tags


@dataclass(frozen=True, slots=True)
class Recording:
    """What several collections submitted, by metric. `moments` are the times of the rounds, in order."""

    moments: tuple[datetime, ...]
    kinds: Mapping[str, SampleKind]
    points: Mapping[str, tuple[Point, ...]]

    @property
    def last(self) -> datetime:
        return self.moments[-1]

    def of(self, metric: str, since: datetime | None) -> Iterator[Point]:
        """The points of a metric, oldest first, that are younger than `since`."""
        for point in self.points.get(metric, ()):
            if since is None or point.at > since:
                yield point


def recorded(documents: Mapping[str, str]) -> Recording:
    """The recording that JSON documents of any checks make, given by name. Raises RecordingError, with the name."""
    collections = [one for name, text in documents.items() for one in _collections(name, text)]
    if not collections:
        raise RecordingError("there is no collection to draw")
    moments: list[datetime] = []
    points: dict[str, dict[object, Point]] = {}
    kinds: dict[str, SampleKind] = {}
    for members in _rounds(sorted(collections, key=lambda one: one.at)):
        moments.append(members[-1].at)
        for sample in (sample for collection in members for sample in collection.metrics):
            kinds[sample.metric] = sample.type
            of_metric = points.setdefault(sample.metric, {})
            point = Point(moments[-1], sample.value, _tags(sample.tags))
            # A gauge has one value at a moment, its last one; of a distribution every point counts.
            key = (point.at, frozenset(point.tags.items())) if sample.type == "gauge" else len(of_metric)
            of_metric[key] = point
    return Recording(
        moments=tuple(dict.fromkeys(moments)),
        kinds=kinds,
        points={metric: tuple(found.values()) for metric, found in points.items()},
    )


def _collections(name: str, text: str) -> tuple[_Collection, ...]:
    """The collections of a document, or of the list that `collect` writes for several checks."""
    try:
        content = json.loads(text)
        documents = content if isinstance(content, list) and content else [content]
        return tuple(one for document in documents for one in _Document.model_validate(document).collections)
    except ValidationError as error:
        problem = first_problem(error)
    except (ValueError, RecursionError):
        problem = "it is no JSON"
    raise RecordingError(f"{name} does not come from `collect --format json`: {problem}")


def _rounds(collections: Iterable[_Collection]) -> Iterator[list[_Collection]]:
    """The collections, oldest first, round by round."""
    members: list[_Collection] = []
    present: set[tuple[str, tuple[str, ...]]] = set()
    for collection in collections:
        series = {(one.metric, one.tags) for one in collection.metrics if one.type == "gauge"}
        if members and (collection.at - members[0].at > ROUND or present & series):
            yield members
            members, present = [], set()
        members.append(collection)
        present |= series
    yield members


def _tags(texts: Iterable[str]) -> Tags:
    found: dict[str, frozenset[str]] = {}
    for key, value in map(key_and_value, texts):
        found[key] = found.get(key, frozenset()) | {value}
    return found

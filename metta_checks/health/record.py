"""What a health record is: the model that everything published or read goes through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from metta_checks.core.clock import in_utc
from metta_checks.core.printable import printable
from metta_checks.health.names import OWN_PATTERN, near_miss, owner_of
from metta_checks.health.record_faults import field_problem, kind_of

METRIC_PATTERN: Final = "^[A-Za-z][A-Za-z0-9_.]*$"
TIMESTAMP_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
)

_SHOWN: Final = 60
"""Characters of a foreign field name that a message repeats."""

MAX_FIELDS: Final = 200
"""Fields that a record may have, and tags."""

TagValue = str | int | float | bool


class FieldFault(NamedTuple):
    """What is wrong with one field of a record; the field is empty when it is the record itself."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


class InvalidRecordError(ValueError):
    """A record that the model refuses; `faults` has at least one entry."""

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults

    @classmethod
    def of(cls, problem: str) -> InvalidRecordError:
        """A fault of the record as a whole."""
        return cls((FieldFault("", problem),))


def _metric(name: str) -> str:
    if re.match(OWN_PATTERN, name):
        raise ValueError(owner_of(name))
    return name


def _timestamp(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return None if value is None else in_utc(value)
    if isinstance(value, int | float):
        raise ValueError("is a number: write it in ISO 8601, such as 2025-01-14T15:00:00Z, not in seconds since 1970")
    if not isinstance(value, str) or not re.match(TIMESTAMP_PATTERN, value) or value.endswith("\n"):
        found = f'"{printable(value, _SHOWN)}"' if isinstance(value, str) and value.strip() else kind_of(value)
        raise ValueError(f"is {found}: write it in ISO 8601, such as 2025-01-14T15:00:00Z")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f'is "{value}", which is no date: look at the day, the month and the time') from None
    return in_utc(moment)


def _tag_value(value: object) -> TagValue:
    if not isinstance(value, str | int | float):
        raise ValueError(f"is {kind_of(value)}: a tag is text, a number, true or false")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("is not a finite number: write a finite one, or leave the tag out")
    return value


def timestamp_text(moment: datetime) -> str:
    """`moment` as records have it: ISO 8601 in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_Text = Annotated[str, Field(min_length=1, max_length=1000)]

_TIMESTAMP_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": TIMESTAMP_PATTERN}, {"type": "null"}],
    "examples": ["2025-01-14T15:00:00Z"],
}


class Record(BaseModel):
    """One result of a training or evaluation suite: a value, and the condition that it is held against."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False, title="Metta health record")

    metric: Annotated[
        str,
        Field(
            pattern=METRIC_PATTERN,
            max_length=150,
            description="What was measured; a name without a leading `metta.` gets the namespace of its check.",
            json_schema_extra={"not": {"pattern": OWN_PATTERN}},
        ),
        AfterValidator(_metric),
    ]
    value: Annotated[float, Field(description="The figure, a finite number.")]
    workflow_name: Annotated[_Text, Field(description="The workflow that was run, such as an arena or a suite.")]
    task: Annotated[_Text, Field(description="The part of the workflow that the figure is about.")]
    check: Annotated[_Text, Field(description="What the condition examines, such as `reward_threshold`.")]
    condition: Annotated[
        _Text,
        Field(description="An operator (> >= < <= == !=) and a number, or `in [a, b]`, the closed interval."),
    ]
    status: Annotated[
        Literal["pass", "fail", "unknown"] | None,
        Field(description="The verdict; when absent it follows from the value and the condition."),
    ] = None
    timestamp: Annotated[
        datetime | None,
        BeforeValidator(_timestamp),
        PlainSerializer(lambda moment: None if moment is None else timestamp_text(moment), when_used="json"),
        Field(
            description="When it was measured: ISO 8601, UTC unless it has a zone; when absent, the time of the file."
        ),
        WithJsonSchema(_TIMESTAMP_SCHEMA),
    ] = None
    tags: Annotated[
        dict[str, Annotated[Any, PlainValidator(_tag_value), WithJsonSchema({"type": ["string", "number", "boolean"]})]]
        | None,
        Field(description="Further tags of the metric."),
    ] = None


def parse_record(item: object) -> Record:
    """The record that `item`, a value from JSON, holds. Raises InvalidRecordError with every fault of it."""
    if not isinstance(item, Mapping):
        raise InvalidRecordError.of(f"it is {kind_of(item)}: a record is a JSON object, {{…}}")
    tags = item.get("tags")
    if len(item) > MAX_FIELDS or (isinstance(tags, Mapping) and len(tags) > MAX_FIELDS):
        # The model would make an error of several hundred bytes for each.
        raise InvalidRecordError.of(f"it has more than {MAX_FIELDS} fields, or tags")
    try:
        return Record.model_validate(item)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults = tuple(_fault(fault["loc"], field_problem(fault, item)) for fault in found)
        raise InvalidRecordError(faults + near_misses(item)) from None


def near_misses(fields: Mapping[Any, object]) -> tuple[FieldFault, ...]:
    """The fields that are most likely slips of the model's own. Other fields are allowed, so that these are ignored."""
    found: list[FieldFault] = []
    for name, value in fields.items():
        if not isinstance(name, str):
            continue
        meant = name if name in _ALIASES else near_miss(name, _SPELLINGS)
        # A list of `values`, say, or an object of `stats` is more than a slip of the pen.
        if meant is None or (isinstance(value, list | Mapping) and meant not in {"tags", name.casefold()}):
            continue
        field = _ALIASES.get(meant, meant)
        found.append(_fault((name,), f"it is no field of a record, and close to `{field}`: write `{field}`"))
    return tuple(found)


_ALIASES: Final = {"metric_name": "metric"}
"""What the wall's tags call a field."""

_SPELLINGS: Final = frozenset({*Record.model_fields, *_ALIASES})


def _fault(location: tuple[int | str, ...], message: str) -> FieldFault:
    field = ".".join(map(str, location))
    return FieldFault(printable(field, _SHOWN), message)

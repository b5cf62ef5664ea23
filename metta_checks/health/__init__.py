"""Health: values held against conditions, the records that carry them, and how they are published and read."""

from metta_checks.health.condition import Condition, condition_tag, parse_condition
from metta_checks.health.document import Limits
from metta_checks.health.publishing import EmptyResultsError, InvalidResultsError, publish
from metta_checks.health.record import InvalidRecordError, Record, parse_record
from metta_checks.health.verdict import State, Verdict, data_missing_sample, judge, named_tags, verdict_samples

__all__ = [
    "Condition",
    "EmptyResultsError",
    "InvalidRecordError",
    "InvalidResultsError",
    "Limits",
    "Record",
    "State",
    "Verdict",
    "condition_tag",
    "data_missing_sample",
    "judge",
    "named_tags",
    "parse_condition",
    "parse_record",
    "publish",
    "verdict_samples",
]

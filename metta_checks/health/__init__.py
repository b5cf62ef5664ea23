"""Health: values held against conditions, the records that carry them, and how they are published and read."""

from metta_checks.health.collector import RecordCollector
from metta_checks.health.condition import Condition, condition_tag, parse_condition
from metta_checks.health.document import Limits
from metta_checks.health.errors import (
    DestinationError,
    DestinationNameError,
    EmptyResultsError,
    InvalidResultsError,
    PublishError,
    PublishOptionError,
    RulesError,
)
from metta_checks.health.publishing import publish
from metta_checks.health.record import InvalidRecordError, Record, parse_record
from metta_checks.health.results import read_results
from metta_checks.health.rules import convert, read_rules, suggested_rules
from metta_checks.health.verdict import State, Verdict, data_missing_sample, judge, named_tags, verdict_samples

__all__ = [
    "Condition",
    "DestinationError",
    "DestinationNameError",
    "EmptyResultsError",
    "InvalidRecordError",
    "InvalidResultsError",
    "Limits",
    "PublishError",
    "PublishOptionError",
    "Record",
    "RecordCollector",
    "RulesError",
    "State",
    "Verdict",
    "condition_tag",
    "convert",
    "data_missing_sample",
    "judge",
    "named_tags",
    "parse_condition",
    "parse_record",
    "publish",
    "read_results",
    "read_rules",
    "suggested_rules",
    "verdict_samples",
]

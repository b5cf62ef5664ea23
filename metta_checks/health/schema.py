"""The JSON Schemas of a health record and of a document: a file of the package, generated from the model.

Written anew by `python -m metta_checks.health.schema > metta_checks/health/record.schema.json`.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import Final

from metta_checks.health.condition import PATTERN
from metta_checks.health.record import Record

SCHEMA_FILE: Final = "record.schema.json"

DOCUMENT_ID: Final = "urn:metta-checks:health-document:1"
"""Names the schema of documents; the number rises when it becomes stricter."""


def schema_text() -> str:
    """The schema as the package ships it."""
    return files("metta_checks.health").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def document_schema_text() -> str:
    """The schema of a whole document as `publish` takes it: stricter than readers are, who still count a record whose
    condition does not parse."""
    record = json.loads(schema_text())
    for name in ("$comment", "$schema"):
        del record[name]
    record["properties"]["condition"]["pattern"] = PATTERN
    records = {"type": "array", "items": {"$ref": "#/$defs/record"}}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": DOCUMENT_ID,
        "title": "Metta health document",
        "description": "A list of health records, or an object with that list as `records`.",
        "oneOf": [records, {"type": "object", "required": ["records"], "properties": {"records": records}}],
        "$defs": {"record": record},
    }
    return json.dumps(document, indent=2) + "\n"


def generated_schema() -> str:
    """The schema as the model has it now."""
    head = {
        "$comment": "Generated from metta_checks.health.record by `python -m metta_checks.health.schema`; do not edit.",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    return json.dumps({**head, **Record.model_json_schema()}, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generated_schema())

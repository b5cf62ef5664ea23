"""The JSON Schema of a health record: a file of the package, generated from the model.

Written anew by `python -m metta_checks.health.schema > metta_checks/health/record.schema.json`.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import Final

from metta_checks.health.record import Record

SCHEMA_FILE: Final = "record.schema.json"


def schema_text() -> str:
    """The schema as the package ships it."""
    return files("metta_checks.health").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def generated_schema() -> str:
    """The schema as the model has it now."""
    head = {
        "$comment": "Generated from metta_checks.health.record by `python -m metta_checks.health.schema`; do not edit.",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    return json.dumps({**head, **Record.model_json_schema()}, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generated_schema())

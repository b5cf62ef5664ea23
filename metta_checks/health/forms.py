"""What content is that is no document of health records, and how to make one of it.

The parser reports a position. A publisher needs the cause: the encoding, JSON Lines, a NaN, results of another tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from metta_checks.core.decode import parse_json

LIST_OF_RECORDS: Final = "It must be a JSON list of records, or an object with that list as `records`."

_HEAD: Final = 4096
"""Bytes at the beginning in which another format shows itself."""

_SEARCHED: Final = 1024 * 1024
"""Bytes that are searched for the cause: a document may have a hundred times as many, and a search has no deadline."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"?'
_NOT_FINITE: Final = re.compile(_STRING + rb"|(-?(?:NaN|Infinity))\b", re.DOTALL)
_BARE_WORD: Final = re.compile(
    _STRING + rb"|(?<![\w.])(-?(?:nan|inf(?:inity)?)|None|True|False|undefined)\b", re.DOTALL
)
_RECORD_FIELDS: Final = frozenset({"metric", "value", "condition", "workflow_name", "task", "check"})


class Malformed(NamedTuple):
    """Why content is no document, and what to do."""

    detail: str
    remedy: str


def malformed_text(data: bytes, error: ValueError, max_values: int) -> Malformed:
    """The cause for bytes that the JSON parser refused with `error`."""
    found = _encoding(data) or _other_format(data) or _several_values(error) or _no_json_number(data, max_values)
    if found is not None:
        return found._replace(detail=f"no valid JSON: {found.detail}")
    if "EOF while parsing" in str(error):
        return Malformed(f"no valid JSON ({error}): it is cut off", "Publish it again, in one step.")
    return Malformed(f"no valid JSON ({error})", LIST_OF_RECORDS)


def malformed_value(content: object) -> Malformed:
    """The cause for a JSON value that holds no list of records."""
    prefix = "valid JSON, but no list of records"
    if not isinstance(content, Mapping):
        return Malformed(prefix, LIST_OF_RECORDS)
    if "records" in content:
        return Malformed(f"{prefix}: its `records` is no list", LIST_OF_RECORDS)
    if len(_RECORD_FIELDS & content.keys()) >= 2:
        return Malformed(f"{prefix}: it is one record", "Put it into a list: [ … ].")
    if (form := json_format(content)) is not None:
        return Malformed(f"{prefix}: it looks like {TITLES[form]}", from_remedy(form))
    return Malformed(prefix, LIST_OF_RECORDS)


TITLES: Final[Mapping[str, str]] = {
    "lm-eval": "results of lm-evaluation-harness",
    "junit": "JUnit XML",
    "pytest-json": "a report of pytest-json-report",
    "numbers": "an object of numbers",
}
"""The formats that records can be made of, by the name that `publish --from` has for them."""


def from_remedy(form: str) -> str:
    """How results in the format `form` are published."""
    return f"Make records of it: `metta-checks publish SUITE RESULTS --from {form} --rules rules.yaml`."


def json_format(content: object) -> str | None:
    """The name of the format of a JSON value that some tool wrote; None where it is none of `TITLES`."""
    if not isinstance(content, Mapping):
        return None
    results = content.get("results")
    if isinstance(results, Mapping) and results and all(isinstance(one, Mapping) for one in results.values()):
        return "lm-eval"
    if isinstance(content.get("summary"), Mapping) and ("tests" in content or "duration" in content):
        return "pytest-json"
    numbers = [value for value in content.values() if is_number(value)]
    # Trainer metrics and the like hold a name or a list beside their numbers.
    return "numbers" if numbers and 2 * len(numbers) >= len(content) else None


def text_format(data: bytes) -> str | None:
    """`junit` for an XML document of test suites, else None."""
    head = data[:_HEAD]
    return (
        "junit" if re.search(rb"<testsuites?[\s>/]", head) and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else None
    )


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _encoding(data: bytes) -> Malformed | None:
    utf8 = "Write it in UTF-8; in PowerShell `… | Out-File -Encoding utf8 results.json` in place of `>`."
    head = data[:4]
    for mark, name in (
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ):
        if head.startswith(mark):
            return Malformed(f"it is {name}", utf8)
    # JSON begins with two characters of ASCII.
    if len(data) >= 4 and any(head) and head.count(0) >= 2 and len(data) % 2 == 0:
        return Malformed(f"it is {'UTF-32' if head.count(0) == 3 else 'UTF-16'}", utf8)
    return None


def _other_format(data: bytes) -> Malformed | None:
    head = data[:_HEAD].lstrip()
    if head.startswith(b"\x1f\x8b"):
        return Malformed("it is compressed with gzip", "Publish it uncompressed.")
    if head.startswith(b"PK\x03\x04"):
        return Malformed("it is a ZIP archive", "Publish the JSON file inside of it.")
    if (form := text_format(data)) is not None:
        return Malformed(f"it is {TITLES[form]}", from_remedy(form))
    if head[:1] == b"<":
        kind = "an HTML page" if re.match(rb"<(!doctype html|html)", head, re.IGNORECASE) else "XML"
        return Malformed(f"it is {kind}", LIST_OF_RECORDS)
    try:
        data[:_SEARCHED].decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut where the search ends.
        if error.start < _SEARCHED - 4:
            detail = f"byte {error.start + 1:,} is not UTF-8"
            return Malformed(detail, "Write it in UTF-8: in Python `open(…, encoding='utf-8')`.")
    return None


def _several_values(error: ValueError) -> Malformed | None:
    if "trailing characters" not in str(error):
        return None
    remedy = "Write one list: `jq -s . results.jsonl > results.json`, or in Python `json.dump(records, file)`, once."
    return Malformed(f"something follows its first value ({error}), as in JSON Lines", remedy)


def _no_json_number(data: bytes, max_values: int) -> Malformed | None:
    """The word of another language that stands where JSON has a value."""
    remedy = 'Leave that record out, or give it a number and `"status": "fail"`.'
    try:
        parse_json(data, allow_nan=True, max_values=max_values)
    except ValueError:
        found = next((match for match in _BARE_WORD.finditer(data[:_SEARCHED]) if match[1]), None)
        if found is None:
            single = re.match(rb"\s*[\[{]\s*\{?\s*'", data) is not None
            return Malformed("its texts are in single quotes", _JSON_DUMP) if single else None
        word = found[1].decode()
        not_finite = word.lower().lstrip("-").startswith(("nan", "inf"))
        return Malformed(f"{_place(data, found)} is {word}", remedy if not_finite else _JSON_DUMP)
    found = next((match for match in _NOT_FINITE.finditer(data[:_SEARCHED]) if match[1]), None)
    if found is None:
        return Malformed("it holds NaN or Infinity, which are no numbers of JSON", remedy)
    return Malformed(f"{_place(data, found)} is {found[1].decode()}, which is no number of JSON", remedy)


_JSON_DUMP: Final = "That is Python's own notation: write the list with `json.dump(records, file)`."


def _place(data: bytes, found: re.Match[bytes]) -> str:
    """The line and column of the word that matched, from 1."""
    before = data[: found.start(1)]
    last_break = before.rfind(b"\n")
    line = before.count(b"\n") + 1
    return f"line {line:,}, column {len(before) - last_break:,}"

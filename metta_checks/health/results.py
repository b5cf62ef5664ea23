"""Results that pipelines already have, as figures: lm-evaluation-harness, JUnit XML, pytest-json-report, plain numbers.

A reader per format. What a figure means is not guessed here: rules say which of them become health records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

from metta_checks.core.decode import MAX_VALUES, parse_json
from metta_checks.core.errors import Kind, SourceError
from metta_checks.health.document import Limits
from metta_checks.health.forms import TITLES, from_remedy, json_format, malformed_text, text_format
from metta_checks.health.local import read_bytes

MAX_XML_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a result: `metric` as the tool calls it, and the `task` it is about, empty where there is none."""

    task: str
    metric: str
    value: float

    @property
    def path(self) -> str:
        """What the patterns of rules are compared with: `task/metric`, or the metric alone."""
        return f"{self.task}/{self.metric}" if self.task else self.metric


@dataclass(frozen=True, slots=True)
class Results:
    """The figures of one result, in its order, and when it was made (aware, UTC), None where it does not say."""

    figures: tuple[Figure, ...]
    at: datetime | None = None


def read_results(source: Path | bytes | Mapping[str, Any], form: str, name: str = "results") -> Results:
    """The figures of a result in the format `form`, one of `TITLES`: of a file, of bytes, or of parsed JSON.

    Raises SourceError for a file that cannot be read or is in another format, and ValueError for an unknown `form`.
    """
    if form not in TITLES:
        raise ValueError(f"{form!r} is no format: write one of {', '.join(TITLES)}")
    if isinstance(source, Path):
        source, name = read_bytes(source, Limits()), str(source)
    operation = f"reading {TITLES[form]} from {name}"
    if form == "junit":
        return _junit(source, operation)
    content = _json(source, operation) if isinstance(source, bytes) else source
    found = json_format(content)
    if not isinstance(content, Mapping) or (found != form and not (found is None and form == "numbers")):
        looks = f"it looks like {TITLES[found]}" if found else "it has another shape"
        raise SourceError(Kind.MALFORMED, operation, looks, _other(found), from_file=True)
    return _JSON_READERS[form](content)


def _other(found: str | None) -> str:
    return from_remedy(found) if found else f"Give the format that it has with --from: {', '.join(TITLES)}."


def _json(data: bytes, operation: str) -> Any:
    if text_format(data) is not None:
        looks = f"it looks like {TITLES['junit']}"
        raise SourceError(Kind.MALFORMED, operation, looks, from_remedy("junit"), from_file=True)
    try:
        # Python's json.dump writes NaN for a diverged run; the rule that names it reports it.
        return parse_json(data, allow_nan=True)
    except ValueError as error:
        cause = malformed_text(data, error, MAX_VALUES)
        raise SourceError(Kind.MALFORMED, operation, *cause, from_file=True) from None


def _lm_eval(content: Mapping[str, Any]) -> Results:
    """`results` and `groups` of lm-evaluation-harness: a group stands in both."""
    tables = {**_objects(content.get("groups")), **_objects(content.get("results"))}
    figures = (Figure(task, metric, value) for task, table in tables.items() for metric, value in _numbers(table))
    return Results(tuple(figures), _moment(content.get("date")))


def _pytest_json(content: Mapping[str, Any]) -> Results:
    """The counts of pytest-json-report, which leaves out those that are 0."""
    summary = {**dict.fromkeys(_OUTCOMES, 0.0), **dict(_numbers(content["summary"]))}
    own = {name: value for name, value in _numbers(content) if name in {"duration", "exitcode"}}
    figures = tuple(Figure("pytest", name, value) for name, value in {**summary, **own}.items())
    return Results(figures, _moment(content.get("created")))


_OUTCOMES: Final = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "total")


def _flat(content: Mapping[str, Any]) -> Results:
    """Metrics of a Trainer, of MLflow or of evaluate: a name and a number each."""
    return Results(tuple(Figure("", name, value) for name, value in _numbers(content)))


_JSON_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Results]]] = {
    "lm-eval": _lm_eval,
    "pytest-json": _pytest_json,
    "numbers": _flat,
}


def _numbers(content: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The values that are numbers, NaN and infinities among them; texts and lists are passed over."""
    for name, value in content.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield str(name), _float(value)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _objects(content: object) -> dict[str, Mapping[str, Any]]:
    found = content.items() if isinstance(content, Mapping) else ()
    return {str(name): value for name, value in found if isinstance(value, Mapping)}


def _moment(epoch: object) -> datetime | None:
    if isinstance(epoch, bool) or not isinstance(epoch, int | float):
        return None
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        return None


_COUNTS: Final = ("tests", "failures", "errors", "skipped")
_OUTCOME_ELEMENTS: Final = {"failure": "failures", "error": "errors", "skipped": "skipped"}


class _Suites:
    """What expat reports of a JUnit document: the counts of each suite by its name.

    A suite may have its counts as attributes, or only its test cases. Of the two the larger counts: a report that was
    put together of several may have attributes of one of them.
    """

    def __init__(self) -> None:
        self.root = ""
        self.suites: dict[str, dict[str, float]] = {}
        self.at: datetime | None = None
        self._depth = 0
        self._elements = 0
        self._nested = 0
        self._name = ""
        self._attributes: dict[str, str] = {}
        self._counted: dict[str, float] = {}
        self._in_case = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins. Raises ValueError for what is no JUnit XML, or too much of it."""
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_XML_DEPTH or self._elements > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_XML_DEPTH} levels, or more than {MAX_VALUES:,} elements")
        self.root = self.root or name
        if name == "testsuite":
            self._nested += 1
            # A suite of suites has the sums of those inside of it.
            if self._nested == 1:
                self._name, self._attributes = attributes.get("name") or "testsuite", attributes
                self._counted = dict.fromkeys(_COUNTS, 0.0)
        elif name == "testcase" and self._nested:
            self._counted["tests"] += 1
            self._in_case = True
        elif name in _OUTCOME_ELEMENTS and self._in_case:
            self._counted[_OUTCOME_ELEMENTS[name]] += 1
            self._in_case = False

    def end(self, name: str) -> None:
        """An element ends."""
        self._depth -= 1
        if name == "testcase":
            self._in_case = False
        if name != "testsuite":
            return
        self._nested -= 1
        if self._nested == 0:
            attributes = self._attributes
            suite = self.suites.setdefault(self._name, dict.fromkeys((*_COUNTS, "duration_seconds"), 0.0))
            for count in _COUNTS:
                suite[count] += max(_attribute(attributes, count), self._counted[count])
            suite["duration_seconds"] += _attribute(attributes, "time")
            self.at = max(filter(None, (self.at, _zoned(attributes.get("timestamp", "")))), default=None)


def _junit(source: bytes | Mapping[str, Any], operation: str) -> Results:
    """The counts of each suite of a JUnit document, and of all of them as `total`."""

    def malformed(detail: str, remedy: str = "Publish what the test runner wrote.") -> SourceError:
        return SourceError(Kind.MALFORMED, operation, detail, remedy, from_file=True)

    if not isinstance(source, bytes):
        raise malformed("it is a JSON object", _other(json_format(source)))
    suites = _Suites()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = suites.begin, suites.end
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(source, True)
    except expat.ExpatError as error:
        if source.lstrip()[:1] in {b"{", b"["}:
            raise malformed("it is JSON", _other(json_format(_json(source, operation)))) from None
        raise malformed(f"no valid XML ({error})") from None
    except ValueError as error:
        raise malformed(str(error)) from None
    if suites.root not in {"testsuites", "testsuite"} or not suites.suites:
        raise malformed(f"no test suite in it: its root is <{suites.root[:60]}>")
    total: dict[str, float] = {}
    figures: list[Figure] = []
    for name, counts in suites.suites.items():
        counts["passed"] = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
        figures += [Figure(name, metric, value) for metric, value in counts.items()]
        for metric, value in counts.items():
            total[metric] = total.get(metric, 0.0) + value
    figures += [Figure("total", metric, value) for metric, value in total.items() if "total" not in suites.suites]
    return Results(tuple(figures), suites.at)


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type or entities, which are not read")


def _attribute(attributes: Mapping[str, str], name: str) -> float:
    # `skip` and `disabled` are what older runners write; a time may have a comma for thousands.
    text = attributes.get(name) or (attributes.get("skip") if name == "skipped" else None) or "0"
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise ValueError(f"`{name}` of a test suite is no number") from None


def _zoned(text: str) -> datetime | None:
    """The moment of a timestamp with a zone; without one it is that of a machine that nobody names."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None

"""Rules: which figures of a result become health records, under which names and conditions.

```yaml
workflow_name: nightly_eval
rules:
  "gsm8k/exact_match,strict-match": ">= 0.55"
  "*/acc,none": {condition: ">= 0.4", metric: accuracy}
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Final

import yaml

from metta_checks.core.bounded_yaml import YamlFileError, parse_yaml
from metta_checks.core.patterns import compile_stars
from metta_checks.core.printable import printable
from metta_checks.health.condition import condition_problem
from metta_checks.health.document import Limits
from metta_checks.health.errors import RulesError
from metta_checks.health.identity import ANNOTATION_TAGS, identity_of
from metta_checks.health.local import read_bytes
from metta_checks.health.names import near_miss
from metta_checks.health.record import parse_record, timestamp_text
from metta_checks.health.results import Figure, Results

TOP: Final = frozenset({"workflow_name", "task", "check", "tags", "rules"})
RULE: Final = frozenset({"condition", "metric", "workflow_name", "task", "check", "tags"})

MAX_RULES_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConversionRule:
    """What becomes of the figures that `pattern` matches; `line` is where it stands, 0 for a rule from Python."""

    pattern: str
    line: int
    condition: str
    metric: str | None
    workflow_name: str
    task: str | None
    check: str
    tags: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one file, in its order; `name` stands in messages."""

    name: str
    rules: tuple[ConversionRule, ...]

    def place(self, rule: ConversionRule) -> str:
        """Where a rule stands, and its pattern."""
        line = f", line {rule.line}" if rule.line else ""
        return printable(f"{self.name}{line}: `{rule.pattern}`")


@dataclass(frozen=True, slots=True)
class Conversion:
    """The records that were made of a result, and the figures that no rule names, as `task/metric`."""

    records: tuple[dict[str, Any], ...]
    unnamed: tuple[str, ...]


def read_rules(source: Path | Mapping[str, Any]) -> Rules:
    """The rules of a YAML file, or of the mapping that such a file holds. Raises RulesError, or SourceError for a file
    that cannot be read."""
    if isinstance(source, Mapping):
        return _Reader("rules", {}).rules(source)
    try:
        text = read_bytes(source, Limits(max_bytes=MAX_RULES_BYTES)).decode("utf-8")
        content = parse_yaml(text, str(source))
    except UnicodeDecodeError:
        raise RulesError([f"{source}: this is not UTF-8 text"]) from None
    except YamlFileError as error:
        hint = 'A condition, and a pattern with `*`, stand in quotes: "*/acc,none": ">= 0.4".'
        raise RulesError([f"{error}. {hint}"]) from None
    root = yaml.compose(text, yaml.SafeLoader)
    lines = dict(_lines(root, ()))
    repeated = [f"{source}, line {line}: `{key}` is there twice" for key, line in _repeated(root)]
    if repeated:
        raise RulesError(repeated)
    return _Reader(str(source), lines).rules(content)


def convert(results: Results, rules: Rules, *, strict: bool = True) -> Conversion:
    """The records of the figures that a rule names: the first rule that matches a figure counts.

    A rule that matches nothing is a fault unless `strict` is False: a result that is missing would pass in silence. So
    are a figure that is no finite number and two figures that become the same record. Raises RulesError.
    """
    faults: list[str] = []
    unnamed: list[str] = []
    records: dict[Any, tuple[Figure, dict[str, Any]]] = {}
    tests = [(compile_stars(rule.pattern), rule) for rule in rules.rules]
    used: set[str] = set()
    for figure in results.figures:
        rule = next((rule for fits, rule in tests if fits(figure.path)), None)
        if rule is None:
            unnamed.append(figure.path)
            continue
        used.add(rule.pattern)
        if not isfinite(figure.value):
            problem = (
                f"{figure.path} is {figure.value}: leave it out of the rules, or publish a record with `status: fail`"
            )
            faults.append(f"{rules.place(rule)}: {problem}")
            continue
        record = _record(figure, rule, results)
        try:
            identity = identity_of(parse_record(record), ANNOTATION_TAGS)
        except ValueError as error:
            faults.append(f"{rules.place(rule)}: {figure.path} makes no record: {error}")
            continue
        if identity in records:
            other = records[identity][0].path
            problem = f"{other} and {figure.path} become the same record: give one a `metric`, `task` or `check`"
            faults.append(f"{rules.place(rule)}: {problem}")
        records[identity] = figure, record
    if strict:
        paths = [figure.path for figure in results.figures]
        faults += [_unmatched(rules, rule, paths) for rule in rules.rules if rule.pattern not in used]
    if faults:
        raise RulesError(faults)
    return Conversion(tuple(record for _, record in records.values()), tuple(unnamed))


def suggested_rules(results: Results, workflow_name: str) -> str:
    """A first rules file for a result, as YAML: each figure with its present value as the condition, to be edited."""
    lines = [
        "# Each condition is the value of the result that this file was made of: edit it, and delete what is not to be",
        "# published. The first pattern that matches `task/metric` counts; `*` stands for any characters.",
        f"workflow_name: {_quoted(workflow_name)}",
    ]
    if any(not figure.task for figure in results.figures):
        lines.append("task: results")
    lines.append("rules:")
    for figure in results.figures:
        if "stderr" in figure.metric:
            continue
        if not isfinite(figure.value):
            lines.append(f"  # {_quoted(figure.path)}: no number in this result")
            continue
        operator = "<=" if _LOWER_IS_BETTER.search(figure.metric) else ">="
        lines.append(f"  {_quoted(figure.path)}: {_quoted(f'{operator} {figure.value!r}')}")
    return "\n".join(lines) + "\n"


_LOWER_IS_BETTER: Final = re.compile(
    r"loss|error|fail|perplexity|wer\b|cer\b|duration|runtime|time|exitcode|skipped", re.I
)


def _record(figure: Figure, rule: ConversionRule, results: Results) -> dict[str, Any]:
    record: dict[str, Any] = {
        "metric": rule.metric or _metric_name(figure.metric),
        "value": figure.value,
        "workflow_name": rule.workflow_name,
        "task": rule.task or figure.task,
        "check": rule.check,
        "condition": rule.condition,
    }
    if results.at is not None:
        record["timestamp"] = timestamp_text(results.at)
    if rule.tags:
        record["tags"] = dict(rule.tags)
    return record


def _metric_name(metric: str) -> str:
    """A name that a record may have: `acc,none` of lm-evaluation-harness is `acc`, its filter `none` is no filter."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "_", metric.removesuffix(",none")).strip("_.")
    return plain if plain[:1].isalpha() else f"value_{plain}"


def _unmatched(rules: Rules, rule: ConversionRule, paths: Sequence[str]) -> str:
    fits = compile_stars(rule.pattern)
    if any(fits(path) for path in paths):
        return f"{rules.place(rule)} matches only what an earlier rule takes: put it before that one, or remove it"
    close = get_close_matches(rule.pattern, paths, 1, 0.7)
    meant = f"; close to it is `{printable(close[0])}`" if close else ""
    return f"{rules.place(rule)} matches nothing in this result{meant}"


class _Reader:
    """Reads the content of one rules file; `lines` has the line of each key, by its path from the root."""

    def __init__(self, name: str, lines: Mapping[tuple[str, ...], int]) -> None:
        self._name = name
        self._lines = lines
        self._faults: list[str] = []

    def rules(self, content: object) -> Rules:
        """Raises RulesError, with every fault."""
        if not isinstance(content, Mapping):
            raise RulesError([f"{self._name}: it must be a mapping with `workflow_name` and `rules`"])
        self._known_keys(content, TOP, ())
        given = content.get("rules")
        if not isinstance(given, Mapping) or not given:
            self._fault((), '`rules` must map patterns to conditions, such as "gsm8k/acc,none": ">= 0.5"')
            given = {}
        found = tuple(self._rule(str(pattern), rule, content) for pattern, rule in given.items())
        if self._faults:
            raise RulesError(self._faults)
        return Rules(self._name, found)

    def _rule(self, pattern: str, given: object, top: Mapping[str, Any]) -> ConversionRule:
        path = ("rules", pattern)
        fields = given if isinstance(given, Mapping) else {"condition": given}
        self._known_keys(fields, RULE, path)
        condition = self._text(fields, "condition", path, required=True) or ""
        if condition and (problem := condition_problem(condition)):
            self._fault((*path, "condition"), problem)
        workflow = self._text(fields, "workflow_name", path) or self._text(top, "workflow_name", ())
        if not workflow:
            self._fault(path, "`workflow_name` is missing: give it at the top of the file, or in the rule")
        return ConversionRule(
            pattern,
            self._line(path),
            condition,
            self._text(fields, "metric", path),
            workflow or "",
            self._text(fields, "task", path) or self._text(top, "task", ()),
            self._text(fields, "check", path) or self._text(top, "check", ()) or "threshold",
            {**self._tags(top, ()), **self._tags(fields, path)},
        )

    def _text(
        self, fields: Mapping[str, Any], key: str, path: tuple[str, ...], *, required: bool = False
    ) -> str | None:
        value = fields.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            self._fault((*path, key), f"`{key}` must be a text, in quotes")
            return None
        return value

    def _tags(self, fields: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
        tags = fields.get("tags") or {}
        if isinstance(tags, Mapping):
            return {str(key): value for key, value in tags.items()}
        self._fault((*path, "tags"), "`tags` must be a mapping, such as {model: large}")
        return {}

    def _known_keys(self, fields: Mapping[Any, Any], known: frozenset[str], path: tuple[str, ...]) -> None:
        for key in fields:
            if key not in known:
                meant = near_miss(str(key), known)
                cure = f"write `{meant}`" if meant else f"the keys are {', '.join(sorted(known))}"
                self._fault((*path, str(key)), f"`{key}` is no key of {'a rule' if path else 'this file'}: {cure}")

    def _fault(self, path: tuple[str, ...], problem: str) -> None:
        where = f"{self._name}, line {self._line(path)}" if self._line(path) else self._name
        pattern = f"`{path[1]}`: " if len(path) > 1 else ""
        fault = printable(f"{where}: {pattern}{problem}")
        if fault not in self._faults:
            self._faults.append(fault)

    def _line(self, path: tuple[str, ...]) -> int:
        """The line of a key, or that of the next one around it that has a line."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)


def _lines(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode) and len(path) < 3:
        for key, value in node.value:
            below = (*path, str(key.value))
            yield below, key.start_mark.line + 1
            yield from _lines(value, below)


def _repeated(node: Any) -> Iterable[tuple[str, int]]:
    """Keys that YAML would have replace an earlier one without a word."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            yield printable(name), key.start_mark.line + 1
        seen.add(name)
        if name != "tags":
            yield from _repeated(value)


def _quoted(text: str) -> str:
    """`text` as a YAML string in double quotes."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'

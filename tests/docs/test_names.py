"""The names in the documents are those of the code: options, metrics, monitors, messages."""

from __future__ import annotations

import ast
import re
from functools import cache

from docs_support.pages import ROOT, Page, current_page, pages

from metta_checks.board.contract import contract
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.library import KINDS, names
from metta_checks.board.lint_query import query_findings
from metta_checks.board.query import parse_query

FOREIGN = {
    # The Agent's own settings.
    "DD_CLUSTER_CHECKS_REBALANCE_PERIOD", "disable_generic_tags", "integration_trusted_providers", "run_path",
    "secret_backend_type", "secret_refresh_interval",
    # Datadog's and the tools' names.
    "upgrade_check",
    # Before this version.
    "DD_APP_KEY",
}  # fmt: skip
"""Names that stand in documents and in no file of the product."""

METRIC = re.compile(r"(?:wandb|metta)\.[a-z_]+(?:\.[a-z0-9_]+)*(?:\.\*)?")
QUERY = re.compile(r"\b[a-z]+\d*:[a-z][\w.]*\{[^{}`]*\}(?:\s+by\s+\{[^{}`]*\})?(?:\.[a-z_]+\([^()`]*\))*")


@cache
def words() -> frozenset[str]:
    """Every name that stands in the product, its configuration and its deployment."""
    files = [
        path
        for folder in ("metta_checks", "conf.d", "deploy", "tests", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".json", ".csv", ".example", ".tf", ""} and path.is_file()
    ]
    text = "\n".join([*(path.read_text(encoding="utf-8", errors="replace") for path in files), *pyproject()])
    return frozenset(re.findall(r"\w+", text)).union(*(names(kind) for kind in KINDS))


def pyproject() -> list[str]:
    return [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "hatch.toml")]


@cache
def texts() -> str:
    """Every text in the product's sources, with the pieces of each put together."""
    found: list[str] = []
    for path in (ROOT / "metta_checks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
    return "\n".join(found)


def named(page: Page) -> set[str]:
    """Names of options, tags, variables and files: words with an underscore, alone or before a value."""
    keys = (re.match(r"([A-Za-z]\w*)(?:: .*|=.*|)$", span) for span in page.spans())
    return {key[1] for key in keys if key and "_" in key[1].strip("_")}


@current_page
def test_options_tags_and_variables_exist(page: Page) -> None:
    # The check in the instructions is not part of the repository.
    foreign = FOREIGN | ({"metta_queue"} if page.name == "CONTRIBUTING.md" else set())
    assert sorted(named(page) - words() - foreign) == []


def emitted(name: str) -> bool:
    known = contract()
    if name.endswith(".*"):
        return any(metric.startswith(name.removesuffix("*")) for metric in known.metrics)
    return known.find(name) is not None


@current_page
def test_metrics_are_emitted(page: Page) -> None:
    found = {span for span in page.spans() if METRIC.fullmatch(span)}
    namespaces = {record.name.removesuffix(".") for record in contract().records}
    modules = {name for name in found if name.startswith("metta.infra.") and name in namespaces}
    former = {"wandb.run.heartbeat_age_seconds"} if page.name == "docs/migration.md" else set()
    assert sorted(name for name in found - modules - former if not emitted(name)) == []


@current_page
def test_queries_fit_the_metrics(page: Page) -> None:
    """By the rules of `board lint`; what a document shows as wrong has an ellipsis."""
    problems: list[str] = []
    for text in (query for span in page.spans() if "…" not in span for query in QUERY.findall(span)):
        try:
            problems += [f"{text}: {finding}" for finding in query_findings(parse_query(text), contract(), "")]
        except QuerySyntaxError as error:
            problems.append(str(error))
    assert problems == []


def test_there_are_queries() -> None:
    text = " ".join(pages()["docs/querying.md"].spans())
    assert len(QUERY.findall(text)) > 30


def test_every_monitor_has_a_row_in_the_runbook() -> None:
    section = pages()["docs/operations.md"].text.partition("\n## When a monitor alerts\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    rows = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(rows) == sorted(names("monitors"))


def test_quoted_messages_are_those_of_the_code() -> None:
    section = pages()["docs/operations.md"].text.partition("\n## Troubleshooting\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    quoted = [text.strip("()") for cell in cells for text in re.findall(r"`([^`]+ [^`]+)`", cell)]
    pieces = [piece.strip() for text in quoted for piece in text.split("W&B API key")]
    assert pieces
    assert [piece for piece in pieces if piece not in texts()] == []

"""The commands in the documents exist, and those that need nothing run."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest
from click.testing import CliRunner
from docs_support.pages import ROOT, Page, current_page, pages

from metta_checks.cli import main


def words_of(line: str) -> list[str]:
    """The arguments of one command; what follows it in a pipe or another command is not part of it."""
    typed = re.split(r"\s(?:&&|\|\||\||;|>)\s?", line.strip())[0]
    return shlex.split(typed.replace("…", ""))[1:]


@cache
def options_of(names: tuple[str, ...]) -> frozenset[str] | None:
    """The options that the help of a command shows; None where there is no such command."""
    helped = CliRunner().invoke(main, [*names, "--help"])
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][\w-]*", helped.output)) if helped.exit_code == 0 else None


def problem_of(line: str) -> str | None:
    """What is wrong with a command line: its name, or an option that its help does not have."""
    words = words_of(line)
    while words and words[0] in {"-v", "--verbose"}:
        words = words[1:]
    if not words or words[0].startswith("-"):
        return None
    names = tuple(words[: 2 if words[0] in {"board", "verify"} and words[1:] else 1])
    known = options_of(names)
    if known is None:
        return f"{line}: there is no such command"
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return f"{line}: there is no {', '.join(sorted(used - known))}" if used - known else None


def shown() -> list[tuple[str, str]]:
    lines = {(page.name, line.strip()) for page in pages().values() for line in page.commands()}
    spans = {
        (page.name, span)
        for page in pages().values()
        for span in page.spans()
        if re.match(r"metta-checks [a-z]", span) and span != "metta-checks needs click"
    }
    return sorted(lines | spans)


@current_page
def test_commands_and_options_exist(page: Page) -> None:
    assert [problem for name, line in shown() if name == page.name and (problem := problem_of(line))] == []


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_shown(command: str) -> None:
    assert any(f"metta-checks {command}" in line for _, line in shown())


RUNNABLE = re.compile(r"metta-checks (?:schema\b|board lint$|board lint --rules$|estimate --|list$|list --format)")


@pytest.mark.parametrize(
    "line", sorted({line for _, line in shown() if RUNNABLE.match(line) and "mine" not in line and "$" not in line})
)
def test_what_needs_nothing_runs(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = [re.sub(r"^conf\.d/(\w+)/conf\.yaml$", r"conf.d/\1/conf.yaml.example", word) for word in words_of(line)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output

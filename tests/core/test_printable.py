"""Text from sources in errors, warnings, diagnoses and the log: characters that a terminal obeys do not get there."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import Source

from metta_checks.simulator.server import Reply
from metta_checks.wandb.check import WandbCheck

AWKWARD = {
    "escape sequence": "\x1b[31mred\x1b[0m",
    "title of the terminal": "\x1b]0;title\x07",
    "C1 control": "a\x9b2Jb",
    "line break": "one\nERROR: two",
    "carriage return": "one\rtwo",
    "Unicode line break": "one\u2028two\u2029three\x85four",
    "bidi override": "a\u202egpj.exe",
    "bidi isolate": "a\u2066b\u2069",
    "invisible": "a\u200bb\ufeffc\u00adn",
    "backspaces": "abc\b\b\b",
    "NUL": "a\0b",
    "tag characters": "a\U000e0041b",
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("key", ["message", "error"])
def test_an_error_of_a_source(source: Source, text: str, key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source.put("/samples", {key: f"before {text} after"}, status=400)
    check = ProbeCheck("probe", {}, [{"url": source.url}])
    message = json.loads(check.run())[0]["message"]
    assert message.isprintable()
    assert "before" in message
    assert "after" in message
    diagnoses = json.loads(check.get_diagnoses())
    assert all((one["diagnosis"] + (one["remediation"] or "")).isprintable() for one in diagnoses)
    assert all(record.getMessage().isprintable() for record in caplog.records if "base.checks" in record.name)


@pytest.mark.parametrize("end", ["x\n", "\x1b[m", "\n", "\nx"])
def test_a_long_run_of_spaces(source: Source, end: str) -> None:
    """A pattern that tries each of the spaces anew takes minutes, in which no Python of the Agent runs."""
    source.put("/samples", {"message": "a" + " " * 60_000 + end}, status=400)
    check = ProbeCheck("probe", {}, [{"url": source.url}])
    started = time.thread_time()
    message = json.loads(check.run())[0]["message"]
    assert time.thread_time() - started < 2
    assert 'HTTP 400, "a' in message


def test_letters_of_every_script_stay(source: Source) -> None:
    source.put("/samples", {"message": "项目不存在, проект 🚀"}, status=404)
    message = json.loads(ProbeCheck("probe", {}, [{"url": source.url}]).run())[0]["message"]
    assert '"项目不存在, проект 🚀"' in message


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_a_redirect(source: Source, text: str) -> None:
    # A header has no line breaks, and a byte for each character.
    one_line = text.replace("\n", "").replace("\r", "")
    location = f"http://127.0.0.1:1/{one_line}".encode("utf-8", "replace").decode("latin-1")
    source.pages["/samples"] = Reply(301, headers={"Location": location})
    assert json.loads(ProbeCheck("probe", {}, [{"url": source.url}]).run())[0]["message"].isprintable()


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_warnings_and_the_log(text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    check = ProbeCheck("probe", {}, [{"url": "http://127.0.0.1:1"}])
    check.warning("left out: %s", text)
    check.log.info("read %s", text)
    check.log.info("read %(text)s", {"text": text})
    assert all(line.isprintable() for line in check.get_warnings())
    assert [record.getMessage().isprintable() for record in caplog.records] == [True] * 3
    assert {record.filename for record in caplog.records} == {"base.py", "test_printable.py"}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("option", ["entity", "base_url", "run_types", "metrics", "timeframe"])
def test_configurations(text: str, option: str) -> None:
    given: dict[str, Any] = {
        "entity": "team",
        "project": "arena",
        "base_url": "http://127.0.0.1:1",
        "api_key": "k" * 40,
    }
    given[option] = {text: text} if option in {"run_types", "metrics"} else text
    report = WandbCheck("metta_wandb", {}, [given]).run()
    assert report
    message = json.loads(report)[0]["message"]
    # The models of the options write one line for each fault.
    assert all(line.isprintable() for line in message.split("\n"))

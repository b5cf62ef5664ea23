"""`metta-checks validate` and the Agent come to the same verdict over the same files.

The Agent's verdict is what arrives of an instance: `metta.check.up` 1 where its check runs, 0 where the check refuses
its options, and nothing where the Agent does not build the check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from agent_support.agent import Agent
from agent_support.intake import Intake
from click.testing import CliRunner

from metta_checks.cli import main

MakeAgent = Callable[..., Agent]
Verdict = Literal["runs", "refused", "not built"]

NOT_BUILT = "would not build the check"
SECONDS = 240

RUN = [
    "min_collection_interval: 0x5",
    "min_collection_interval: 0_5",
    "min_collection_interval: 0o5",
    "min_collection_interval: 05",
    "min_collection_interval: 5.0",
    "min_collection_interval: +5",
    "empty_default_hostname: yes",
    "empty_default_hostname: On",
    "empty_default_hostname: y",
    "service: ~",
    "service: 'yes'",
    "loader: python",
    "no_index: off",
    "series_budget: 1e3",
    "series_budget: 1_000",
    "series_budget: 0x10",
    "skip_proxy: no",
    "max_age: 26h",
    "init_config: ~",
    "init_config: {}",
    "cluster_check: false",
]
"""Lines with which the check runs."""

REFUSED = [
    "min_collection_interval: 0",
    "min_collection_interval: -5",
    "min_collection_interval: 1.5",
    "max_age: 26",
    "max_age: 26 parsecs",
    "series_budget: many",
    "series_budget: 0",
    "service: 5",
    "annotation_tags: commit",
    "source: gs://bucket/results.json",
]
"""Lines that the Agent takes and the check refuses."""

NOT_BUILT_LINES = [
    'min_collection_interval: "5"',
    "min_collection_interval: 5 minutes",
    "min_collection_interval: [5]",
    "min_collection_interval: yes",
    "min_collection_interval: 99999999999999999999",
    "min_collection_interval: 1e30",
    'empty_default_hostname: "true"',
    "empty_default_hostname: 1",
    "empty_default_hostname: ja",
    "service: [a]",
    "service: {name: a}",
    "namespace: [a]",
    "no_index: 'true'",
    "loader: core",
    "loader: [python]",
    "init_config: []",
    "init_config: ''",
    "init_config: {service: [a]}",
    "init_config: {loader: core}",
    "cluster_check: 'no'",
    "ignore_autodiscovery_tags: 'no'",
]
"""Lines with which the Agent does not build the check."""

LINES: Mapping[str, Verdict] = {
    **dict.fromkeys(RUN, "runs"),
    **dict.fromkeys(REFUSED, "refused"),
    **dict.fromkeys(NOT_BUILT_LINES, "not built"),
}
TOP = ("init_config", "cluster_check", "ignore_autodiscovery_tags")


def text_of(line: str, number: int, source: Path) -> str:
    """A configuration of metta_training with the line in its place; its series have the tag `seed:NUMBER`."""
    option = line.partition(":")[0]
    own = {
        "source": str(source),
        "min_collection_interval": 5,
        "empty_default_hostname": "true",
        "tags": f"['env:test', 'seed:{number}']",
    }
    kept = [f"{name}: {value}" for name, value in own.items() if name != option]
    instance = kept if option in TOP else [*kept, line]
    head = [*([] if option == "init_config" else ["init_config:"]), *([line] if option in TOP else [])]
    return "\n".join([*head, "instances:", "-", *(f"  {one}" for one in instance), ""])


def verdict_of_validate(path: Path) -> Verdict:
    result = CliRunner().invoke(main, ["validate", str(path), "--check", "training", "--format", "json"])
    faults = [one["text"] for one in json.loads(result.stdout)["findings"] if one["level"] == "fault"]
    if any(NOT_BUILT in text for text in faults):
        return "not built"
    return "refused" if faults else "runs"


def configure(folder: Path, sources: Path) -> dict[str, Path]:
    """A file for each line, and for each a source of its own."""
    folder.mkdir(parents=True)
    sources.mkdir()
    record = {"metric": "m", "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0", "value": 1}
    files = {}
    for number, line in enumerate(LINES):
        source = sources / f"{number}.json"
        source.write_text(json.dumps([record]), encoding="utf-8")
        files[line] = folder / f"seed-{number}.yaml"
        files[line].write_text(text_of(line, number, source), encoding="utf-8")
    return files


def test_validate_comes_to_the_expected_verdicts(tmp_path: Path) -> None:
    files = configure(tmp_path / "metta_training.d", tmp_path / "sources")
    assert {line: verdict_of_validate(path) for line, path in files.items()} == LINES


def test_the_agent_comes_to_the_same_verdicts(make_agent: MakeAgent, intake: Intake, tmp_path: Path) -> None:
    agent = make_agent()
    files = configure(agent.home / "conf.d" / "metta_training.d", tmp_path / "sources")

    def arrived() -> dict[str, Verdict]:
        """The last `metta.check.up` of each line's instance."""
        found: dict[str, Verdict] = {}
        for number, line in enumerate(LINES):
            points = [one for one in intake.points if one.metric == "metta.check.up" and f"seed:{number}" in one.tags]
            if points:
                found[line] = "runs" if points[-1].value == 1 else "refused"
        return found

    expected = {line: verdict for line in LINES if (verdict := verdict_of_validate(files[line])) != "not built"}
    agent.start()
    came = intake.wait_for(lambda: arrived() == expected, SECONDS)
    assert came, {line: (arrived().get(line, "not built"), expected.get(line)) for line in LINES}
    # Two more flushes, for what should not come.
    intake.wait_for(lambda: False, 30)
    assert arrived() == expected

"""YAML as the Agent's Go decoder reads it, where Python's own loader would read something else (seen in Agent 7.68)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
Validated = Callable[..., list[str]]

HEAD = "init_config:\ninstances:\n"
SOUND = f"""{HEAD}- entity: team
  project: arena
  tags: ["env:prod"]
  min_collection_interval: 120
  empty_default_hostname: true
"""
NOT_BUILT = "would not build the check"


@pytest.mark.parametrize(
    "text",
    [
        f"%YAML 1.1\n---\n{SOUND}",
        SOUND + "  <<: {max_runs: 5}\n",
        SOUND.replace("- entity", "- <<: {max_runs: 5, entity: other}\n  entity"),
        SOUND.replace("- entity", "- <<: [{max_runs: 5}, {max_runs: many}]\n  entity"),
        SOUND + "  service: 2025-01-01\n",
        SOUND + "  service: '12:30:45'\n",
        SOUND + "  service: '08'\n",
        SOUND + "  service: ==\n",
        SOUND + '  service: "a\\x41"\n',
        SOUND.replace(": ", ":\t"),
    ],
)
def test_what_both_read_alike(validated: Validated, text: str) -> None:
    assert validated(text) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("service: '='", "`=` comes back from the Agent without quotes, and Python's YAML cannot read it"),
        ("service: =", "`=` comes back from the Agent without quotes"),
        ("service: <<", "`<<` comes back from the Agent without quotes"),
        ("metrics: [loss, '<<']", "`<<` comes back from the Agent without quotes"),
        ("service: 2025-99-99", "`2025-99-99` comes back from the Agent without quotes"),
        ("metrics: ['2025-02-30']", "`2025-02-30` comes back from the Agent without quotes"),
    ],
)
def test_a_text_that_does_not_survive_the_agent(validated: Validated, line: str, said: str) -> None:
    (fault,) = validated(f"{SOUND}  {line}\n")
    assert fault.startswith("None 8: ")
    assert said in fault
    assert fault.endswith(NOT_BUILT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"%YAML 1.2\n---\n{SOUND}", "the Agent reads YAML 1.1: remove the line that begins with %YAML"),
        (SOUND + '  service: "a\\/b"\n', "a backslash in double quotes: put the value in single quotes"),
        (SOUND + '  service: "a\\ud83d"\n', "half of a surrogate pair in double quotes: write the character itself"),
        (SOUND + "  run_tags: [&a group, &a user]\n", "an anchor (`&name`) is defined twice"),
        ("init_config:\n  instances:\n  - entity: team\n", "it stands inside of `init_config`"),
    ],
)
def test_a_file_that_the_agent_does_not_read(validated: Validated, text: str, said: str) -> None:
    (fault,) = validated(text)
    assert said in fault


@pytest.mark.parametrize("value", ["500", "many"])
def test_a_merge_key_replaces_what_stands_above_it(validated: Validated, value: str) -> None:
    (fault,) = validated(SOUND + f"  max_runs: {value}\n  <<: {{max_runs: 5}}\n")
    assert fault == "max_runs 9: of line 8 is replaced by the one that `<<` merges below it: move `<<` above it"


def test_a_merged_value_of_a_wrong_type(validated: Validated) -> None:
    faults = validated(SOUND + "  <<: {no_index: 'yes', max_runs: many}\n")
    assert [fault.split()[0] for fault in faults] == ["no_index", "max_runs"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jmx_metrics: []", "makes the Agent leave out the instances of a Python check: remove it"),
        ("docker_images: [redis]", "makes the Agent leave out the instances of a Python check: remove it"),
        ("advanced_ad_identifiers: kube", "is text (`kube`): write a list, or remove it"),
    ],
)
def test_a_key_of_the_file(validated: Validated, line: str, said: str) -> None:
    (fault,) = validated(f"{line}\n{SOUND}")
    assert said in fault
    assert fault.endswith(NOT_BUILT)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_with_a_byte_order_mark(command: Command, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "metta_wandb.yaml"
    path.write_text(SOUND, encoding=encoding)
    assert command("validate", path).exit_code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tags: [env:x, 5, ~, [a], b: c]", ["entry 2 is `5`", "entry 3 is empty: remove it", "entry 4 is a list"]),
        ("min_collection_interval: -1e19", ["is `-1e19`: write a whole number"]),
        ("run_types: train", ["`run_types: [{name: …, pattern: …}]`"]),
        ("timeframe: 0", ["is `0`: write `timeframe: 7d`"]),
        ("timeframe: -5", ["is `-5`: write `timeframe: 7d`"]),
        ("timeframe: yes", ["is `yes`: write `timeframe: 7d`"]),
        ("completed_runs: 1 day 6 hours", ["such as 30h"]),
        ("completed_runs: 1M", ["write 1m for minutes, or 30d for months"]),
    ],
)
def test_the_form_to_write(validated: Validated, line: str, said: list[str]) -> None:
    option = line.partition(":")[0]
    kept = "\n".join(one for one in SOUND.splitlines() if not one.startswith(f"  {option}:"))
    (fault,) = validated(f"{kept}\n  {line}\n")
    for words in said:
        assert words in fault


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("reverts_condition: '< 5'", "`conditions`"),
        ("conditions: {p90: '< 5'}", "`ci.workflow.duration.p90`"),
        ("conditions: {flakey_tests: '< 5'}", "`ci.workflow.flaky_tests`"),
        ("conditions: {hotfix.count: '< 5'}", "`github.hotfix.count`"),
    ],
)
def test_what_was_meant(validated: Validated, line: str, meant: str) -> None:
    (fault,) = validated(SOUND.replace("entity: team\n  project: arena", f"repo: team/arena\n  {line}"), "metta_ci.d")
    assert fault.endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("source", ["http:/host/x.json", "https:host/x.json", "HTTPS:/host/x.json"])
def test_an_address_without_two_slashes(validated: Validated, source: str) -> None:
    text = SOUND.replace("entity: team\n  project: arena", f"source: {source}")
    (fault,) = validated(text, "metta_eval.d")
    assert "is no address: write two slashes, http" in fault


def test_a_folder_without_a_configuration_of_the_check(command: Command, tmp_path: Path) -> None:
    result = command("collect", "wandb", "--config", tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path} has no configuration of metta_wandb: nothing to collect" in result.stderr

"""`include` and `exclude` written as shell patterns, or with the owner: what `validate` and the check report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

Command = Callable[..., Result]

CHECKS = {
    "wandb": ({"entity": "team"}, "projects"),
    "ci": ({"organization": "team"}, "repos"),
}


def findings(command: Command, folder: Path, check: str, names: dict[str, Any]) -> list[str]:
    options, option = CHECKS[check]
    path = folder / f"metta_{check}.d" / "conf.yaml"
    path.parent.mkdir()
    more = {"tags": ["env:test"], "empty_default_hostname": True, "min_collection_interval": 120}
    path.write_text(yaml.safe_dump({"init_config": {}, "instances": [{**options, option: names, **more}]}))
    found = json.loads(command("validate", path, "--format", "json").stdout)["findings"]
    return [f"{one['level']} {one['option']} {one['text']}" for one in found]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("train-*", "`train-*` is a regular expression and does not match `train-2`; write `train-.*`"),
        ("arena*", "`arena*` is a regular expression and does not match `arena-2`; write `arena.*`"),
        ("a*-b_*", "`a*-b_*` is a regular expression and does not match `a-2-b_2`; write `a.*-b_.*`"),
        ("v1.0*", "`v1.0*` is a regular expression and does not match `v1.0-2`; write `v1.0.*`"),
        ("my-org/foo", "`my-org/foo` matches no name: write the name without the owner, `foo`"),
        ("my-org/.*", "`my-org/.*` matches no name: write the name without the owner, `.*`"),
        ("https://github.com/my-org/foo/", "`https://github.com/my-org/foo/` matches no name: write the name without"),
    ],
)
@pytest.mark.parametrize("part", ["include", "exclude"])
def test_what_cannot_be_meant_is_a_warning(
    command: Command, tmp_path: Path, check: str, entry: str, text: str, part: str
) -> None:
    option = CHECKS[check][1]
    (found,) = findings(command, tmp_path, check, {"include": ["other"], part: [entry]})
    assert found.startswith(f"warning {option} in `{part}`: {text}")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("*", "`*` is not a regular expression: for every name write `.*`"),
        ("*-x", "`*-x` is not a regular expression: there is nothing before `*` to repeat; for any characters write"),
        ("a**", "`a**` is not a regular expression: there is nothing before `*` to repeat"),
        ("(a", "`(a` is not a regular expression: `(` is not closed"),
        ("a)", "`a)` is not a regular expression: `)` closes nothing"),
        ("a[b", "`a[b` is not a regular expression: `[` is not closed"),
    ],
)
def test_what_is_no_regular_expression_is_a_fault_in_plain_words(
    command: Command, tmp_path: Path, check: str, entry: str, text: str
) -> None:
    found = findings(command, tmp_path, check, {"include": [entry]})
    assert [one for one in found if f"in `include`: {text}" in one]
    assert "position" not in "".join(found)


@pytest.mark.parametrize("entry", [".*", "train-.*", "mazes?-.*", "[ab]*", "(x|y)*", r"\w*", "a{2}", "met|ta", "a.b"])
def test_regular_expressions_are_left_alone(command: Command, tmp_path: Path, entry: str) -> None:
    assert findings(command, tmp_path, "wandb", {"include": [entry]}) == []


def test_the_check_warns_too(command: Command, tmp_path: Path, conf: Any, instance: dict[str, Any]) -> None:
    given = {option: value for option, value in instance.items() if option != "project"}
    path = conf({**given, "projects": {"include": ["metta", "arena*"], "exclude": ["team/x"]}})
    result = command("collect", "wandb", "--config", path, "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["collections"][0]["warnings"] == [
        "`projects` in `include`: `arena*` is a regular expression and does not match `arena-2`; write `arena.*`",
        "`projects` in `exclude`: `team/x` matches no name: write the name without the owner, `x`",
    ]

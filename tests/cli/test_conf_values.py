"""Values that a check would take and that cannot be what was meant are faults, each with what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
Validated = Callable[..., list[str]]

SOUND = {
    "metta_wandb": {"entity": "team", "project": "arena"},
    "metta_ci": {"repo": "team/arena"},
    "metta_training": {"source": "/data/results.json"},
}


def text_of(check: str, *lines: str) -> str:
    """A configuration of the check in which `lines` replace or extend the options."""
    given = {line.partition(":")[0] for line in lines if not line.startswith((" ", "-"))}
    own = ["min_collection_interval: 120", "empty_default_hostname: true", "tags: ['env:dev']"]
    own += [f"{option}: {value}" for option, value in SOUND[check].items()]
    kept = [line for line in own if line.partition(":")[0] not in given]
    return "init_config:\ninstances:\n-\n" + "".join(f"  {line}\n" for line in (*kept, *lines))


UNRESOLVED = [
    "${WANDB_API_KEY}",
    "$WANDB_API_KEY",
    "$(cat /run/secrets/key)",
    "'%%WANDB_API_KEY%%'",
    "'%%ENV_WANDB_API_KEY%%'",
    "'${{ secrets.WANDB_API_KEY }}'",
]


@pytest.mark.parametrize("value", UNRESOLVED)
def test_a_variable_that_nobody_replaces(validated: Validated, value: str) -> None:
    (fault,) = validated(text_of("metta_wandb", f"api_key: {value}"), "metta_wandb.d")
    assert fault.startswith("api_key 9: holds a variable, which the Agent does not replace in this file")
    assert fault.endswith("or remove the line: the check itself reads WANDB_API_KEY")


@pytest.mark.parametrize(
    "line",
    [
        "api_key: '%%env_WANDB_KEY_OF_AGENT%%'",
        "project: arena-%%env_STAGE%%",
        "tags: ['env:%%env_STAGE%%', 'team:%%env_TEAM%%']",
        "max_runs: '%%env_RUNS%%'",
        "min_collection_interval: '%%env_RUNS%%'",
        "events: '%%env_EVENTS%%'",
    ],
)
def test_a_variable_that_the_agent_replaces(validated: Validated, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    path, of = text_of("metta_wandb", line), "metta_wandb.d"
    (fault,) = validated(path, of)
    assert "is not set here: run this with the Agent's environment" in fault
    for name, value in {"WANDB_KEY_OF_AGENT": "k", "STAGE": "dev", "TEAM": "rl", "RUNS": "150", "EVENTS": "no"}.items():
        monkeypatch.setenv(name, value)
    assert validated(path, of) == []


def test_a_variable_with_a_wrong_value(validated: Validated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS", "many")
    (fault,) = validated(text_of("metta_wandb", "max_runs: '%%env_RUNS%%'"), "metta_wandb.d")
    assert fault.startswith("max_runs 9: is text: write a whole number")


@pytest.mark.parametrize(
    ("check", "line", "variable"),
    [
        ("metta_wandb", "entity: $WANDB_ENTITY", "WANDB_ENTITY"),
        ("metta_wandb", "project: ${PROJECT}", "WANDB_PROJECT"),
        ("metta_ci", "repo: ${{ github.repository }}", "GITHUB_REPOSITORY"),
        ("metta_training", "source: $HOME/results.json", "TRAINING_HEALTH_FILE"),
        ("metta_training", "source: s3://$BUCKET/results.json", "TRAINING_HEALTH_FILE"),
    ],
)
def test_the_variable_that_the_check_reads_is_named(validated: Validated, check: str, line: str, variable: str) -> None:
    (fault,) = validated(text_of(check, line), f"{check}.d")
    assert "holds a variable, which the Agent does not replace in this file: write the value, or remove" in fault
    assert fault.endswith(f"the check itself reads {variable}")


@pytest.mark.parametrize("key", ["%%env_KEY%%", "%%env_TEAM_WANDB_API_KEY%%"])
def test_the_agent_replaces_template_variables_beside_ad_identifiers(validated: Validated, key: str) -> None:
    text = text_of("metta_wandb", f"api_key: '{key}'")
    assert validated(f"ad_identifiers: [redis]\n{text}") == []


@pytest.mark.parametrize(
    "line",
    [
        "api_key: your-api-key",
        "api_key: xxxxxxxx",
        "api_key: CHANGEME",
        "api_key: my_key",
        "entity: <your entity>",
        "entity: '{{ .Values.entity }}'",
        "project: <project-name>",
    ],
)
def test_a_placeholder_of_somebody_else(validated: Validated, line: str) -> None:
    (fault,) = validated(text_of("metta_wandb", line))
    assert fault.endswith(": still holds a placeholder: put your own value there")


@pytest.mark.parametrize("value", ["ENC[wandb", "'Bearer ENC[wandb]'", "enc[wandb]", "ENC[]", "'\"ENC[wandb]\"'"])
def test_a_broken_handle_of_a_secret(validated: Validated, value: str) -> None:
    (fault,) = validated(text_of("metta_wandb", f"api_key: {value}"))
    assert "holds a broken handle of a secret: write the whole value as `ENC[name-of-the-secret]`" in fault
    assert "Bearer" not in fault


@pytest.mark.parametrize(
    ("check", "line", "said"),
    [
        (
            "metta_wandb",
            "project: team/arena",
            "contains `/`: write only the name, such as `my-project`, without a URL",
        ),
        (
            "metta_wandb",
            "entity: https://wandb.ai/team",
            "contains `:`: write only the name, such as `my-team`, without a URL",
        ),
        ("metta_wandb", "project: arena?workspace=user", "contains `?`"),
        ("metta_wandb", "project: \u201carena\u201d", "stands in typographic quotes"),
        ("metta_wandb", "project: \u2018arena\u2019", "stands in typographic quotes"),
        ("metta_wandb", "tags: ['env:dev', \u201cteam:rl\u201d]", "stands in typographic quotes"),
        ("metta_wandb", "project: are\u00a0na", "holds a character that cannot be seen"),
        ("metta_wandb", "entity: 'team\u200b'", "holds a character that cannot be seen"),
        ("metta_ci", "repo: team/arena.git", "ends in .git, which is no part of the name on GitHub: write owner/name"),
        ("metta_ci", "branch: refs/heads/main", "is a full reference: write the name alone, heads/main"),
        ("metta_ci", "branch: release/*", "is no name of one branch (a pattern is not supported)"),
        ("metta_ci", "branch: main dev", "is no name of one branch"),
        ("metta_ci", "branch: a..b", "is no name of one branch"),
        ("metta_ci", "branch: [main, dev]", "is a list, and it takes one value: write `branch: main`, and an instance"),
        ("metta_wandb", "tls_ca_cert: certs/ca.pem", "is a relative path (`certs/ca.pem`)"),
        ("metta_wandb", "tls_cert: ~/client.pem", "begins with `~`, which is another folder for the Agent"),
    ],
)
def test_a_name_or_path_that_cannot_be_one(validated: Validated, check: str, line: str, said: str) -> None:
    (fault,) = validated(text_of(check, line), f"{check}.d")
    assert said.replace("heads/main", "main") in fault


@pytest.mark.parametrize(
    "line",
    [
        "project: arena-2.0_x",
        "project: my project (old)",
        "run_types: [{name: x, pattern: '^$FOO|<A>'}]",
        "metrics: ['${x}', 'val/{a}']",
        "api_key: ENC[wandb/api-key;key]",
        "tags: ['env:dev', 'cost:$5']",
    ],
)
def test_what_only_looks_like_one(validated: Validated, line: str) -> None:
    assert validated(text_of("metta_wandb", line)) == []


@pytest.mark.parametrize("branch", ["main", "release/1.x", "feature/heads", "a#b"])
def test_branches_that_may_exist(validated: Validated, branch: str) -> None:
    assert validated(text_of("metta_ci", f"branch: '{branch}'"), "metta_ci.d") == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "s3:/bucket/x.json",
            "is not an address that the check can read: write s3://bucket/key, or s3://bucket/prefix/",
        ),
        ("S3://bucket/x.json", "is not an address that the check can read: write s3://bucket/key"),
        ("s3a://bucket/x.json", "is not an address that the check can read: write s3://bucket/key"),
        ("arn:aws:s3:::bucket/x.json", "is not an address that the check can read: write s3://bucket/key"),
        ("https://s3.console.aws.amazon.com/s3/object/b?prefix=x.json", "is a page of the AWS console"),
        ("/data/results.csv", "is a file `*.csv`: records are read from JSON alone"),
        ("/data/results.jsonl", "is a file `*.jsonl`"),
        ("/data/{a,b}.json", "holds braces or a date format, which are not replaced"),
        ("/data/%Y-%m-%d.json", "holds braces or a date format, which are not replaced"),
    ],
)
def test_a_source_that_is_none(validated: Validated, source: str, said: str) -> None:
    (fault,) = validated(text_of("metta_training", f"source: '{source}'"), "metta_training.d")
    assert said in fault


@pytest.mark.parametrize("source", ["/data/*.json", "/data/[ab].json", "/data/100%.json", "s3://bucket/a%20b.json"])
def test_a_source_that_is_one(validated: Validated, source: str) -> None:
    assert validated(text_of("metta_training", f"source: '{source}'"), "metta_training.d") == []


@pytest.mark.parametrize(
    ("check", "lines", "said"),
    [
        ("metta_wandb", ["interval: 60"], ["there is no such option; did you mean `min_collection_interval`?"]),
        ("metta_ci", ["exclude: [codeql.yml]"], ["did you mean `exclude_workflows`"]),
        (
            "metta_ci",
            ["workflows: [ci.yml]"],
            ["`benchmarks_workflows` or `exclude_workflows` or `tests_"],
        ),
        ("metta_training", ["path: /x"], ["there is no such option; conf.yaml.example has them all"]),
        (
            "metta_wandb",
            ["project: ~", "projects:", "  includes: [a]"],
            ["`includes`: there is no such key; did you mean `include`?", "`include` is missing"],
        ),
        ("metta_wandb", ["project: ~", "projects: {include: [a], limits: 4}"], ["`limits`: there is no such key"]),
        ("metta_wandb", ["run_types: [{name: x, pattern: abc, patern: z}]"], ["`patern`: there is no such key"]),
        (
            "metta_wandb",
            ["proxy: {htttp: 'http://proxy:3128'}"],
            ["`htttp`: there is no such key; did you mean"],
        ),
        ("metta_wandb", ["min_collection_interval: 99999999999999999999"], ["which is too large"]),
        ("metta_wandb", ["min_collection_interval: 1e30"], ["which is too large"]),
        (
            "metta_ci",
            ["min_collection_interval: 1.5"],
            ["write a whole number, `min_collection_interval: 240`"],
        ),
        ("metta_ci", ["label_window: 7"], ["is `7`: write `label_window: 7d`"]),
        ("metta_ci", ["window: 0.5"], ["is `0.5`: write `window: 30m`"]),
        ("metta_wandb", ["completed_runs: 0.25"], ["is `0.25`: write `completed_runs: 15m`"]),
        ("metta_ci", ["conditions: ['< 10']"], ["is a list: write a mapping, `key: value` in lines below it"]),
        ("metta_wandb", ["headers: 'A: b'"], ["is text: write a mapping, `key: value` in lines below it"]),
        ("metta_wandb", ["tags: ['env:a', null]"], ["entry 2 is empty: remove it, or write a value"]),
    ],
)
def test_what_was_meant(validated: Validated, check: str, lines: list[str], said: list[str]) -> None:
    faults = validated(text_of(check, *lines), f"{check}.d")
    assert len(faults) == len(said)
    for part, fault in zip(said, faults, strict=True):
        assert part in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("init_config:\ninstance:\n- entity: a\n", "it is missing: `instance` is written in its place"),
        ("init_config:\ninstnaces:\n- entity: a\n", "it is missing: `instnaces` is written in its place"),
        ("entity: a\nproject: b\n", "it is missing. Options such as `entity`, `project` stand behind a dash below it"),
        (text_of("metta_wandb", "metrics: *"), "a value cannot begin with `*` or `&`: put the value in quotes"),
        (text_of("metta_wandb", "metrics: [val/*, *]"), "a value cannot begin with `*` or `&`"),
        (text_of("metta_wandb", "project: &"), "a value cannot begin with `*` or `&`"),
        (text_of("metta_wandb", "project: {{ project }}"), "fill in a template such as `{{ name }}`"),
        (text_of("metta_wandb", "project: - arena"), "a `- ` is not expected here"),
        (text_of("metta_wandb", "project: > arena"), "text follows `|`, `>` or `%`: put the value in quotes"),
        (text_of("metta_wandb", r'project: "\x"'), "a backslash in double quotes: put the value in single quotes"),
        (text_of("metta_wandb", "<<: 5"), "what follows `<<:` is no mapping"),
        (text_of("metta_wandb", "metrics: [a"), "is not closed"),
    ],
)
def test_a_file_that_is_none(validated: Validated, text: str, said: str) -> None:
    (fault,) = validated(text)
    assert said in fault
    assert "but found" not in fault


@pytest.mark.parametrize("interval", ["-5", "0", '"120"', "[120]", "99999999999999999999"])
def test_of_an_option_at_fault_nothing_is_warned(command: Command, tmp_path: Path, interval: str) -> None:
    path = tmp_path / "metta_wandb.yaml"
    path.write_text(text_of("metta_wandb", f"min_collection_interval: {interval}"))
    result = command("validate", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "1 file: 1 fault, 0 warnings"


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("disable_generic_tags: true", "renames `env:`, `version:` and `service:`"),
        ("disable_generic_tags: on", "renames `env:`, `version:` and `service:`"),
        ("metric_patterns: {exclude: ['^metta.check']}", "leaves out `metta.check.up`"),
        ("metric_patterns: {include: ['^wandb']}", "leaves out `metta.check.up`"),
        ("metric_patterns: {exclude: ['system', 'up$']}", "leaves out `metta.check.up`"),
        ("disable_generic_tags: no", ""),
        ("metric_patterns: {include: ['^wandb', '^metta']}", ""),
        ("metric_patterns: {exclude: ['wandb.run.system']}", ""),
    ],
)
@pytest.mark.parametrize("env", ["", "production"])
def test_options_of_the_base_class_that_lose_figures(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, warning: str, env: str
) -> None:
    if env:
        monkeypatch.setenv("DD_ENV", env)
    path = tmp_path / "metta_wandb.yaml"
    path.write_text(text_of("metta_wandb", line))
    document = json.loads(command("validate", path, "--format", "json").stdout)
    texts = [finding["text"] for finding in document["findings"]]
    assert [warning in text for text in texts] == ([True] if warning else [])


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("option", ["entity", "project"])
def test_collect_sends_no_placeholder(command: Command, tmp_path: Path, form: str, option: str) -> None:
    path = tmp_path / "metta_wandb.yaml"
    path.write_text(text_of("metta_wandb", f"{option}: <{option.upper()}>", "api_key: abc"))
    result = command("collect", "wandb", "--config", path, "--format", form)
    assert result.exit_code == 2
    assert f"instance 1: `{option}`: still holds <{option.upper()}> of the example" in result.stderr
    assert "metta.check.up" not in result.stdout


def test_estimate_needs_no_values_of_your_own(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "metta_ci.yaml"
    path.write_text(text_of("metta_ci", "repo: <OWNER>/<NAME>"))
    result = command("estimate", "--config", path)
    assert (result.exit_code, "metta_ci, instance 1: about " in result.stdout) == (0, True)

"""`metta-checks validate` takes what the Agent takes, and names what it found and what to write for everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]

HEAD = """\
init_config:
instances:
  - entity: team
    project: arena
    tags: ["env:prod"]
    min_collection_interval: 120
    empty_default_hostname: true
"""


def instance(*lines: str) -> str:
    """The configuration of a W&B project in which `lines` replace or extend the options."""
    options = {line.partition(":")[0] for line in lines}
    kept = [line for line in HEAD.splitlines()[2:] if line.strip(" -").partition(":")[0] not in options]
    body = "\n".join([*(line.replace("  - ", "    ") for line in kept), *(f"    {line}" for line in lines)])
    return f"init_config:\ninstances:\n  -\n{body}\n"


@pytest.mark.parametrize(
    "line",
    [
        "min_collection_interval: 0x78",
        "min_collection_interval: 1_2_0",
        "min_collection_interval: 0o170",
        "min_collection_interval: 0170",
        "min_collection_interval: 1.2e2",
        "min_collection_interval: 120.0",
        "min_collection_interval: +120",
        "empty_default_hostname: yes",
        "empty_default_hostname: On",
        "empty_default_hostname: y",
        "tags:",
        "service: ~",
        "service: 'yes'",
        "loader: python",
        "no_index: off",
        "namespace: team",
        "max_runs: 1e3",
        "max_runs: 1_000",
        "max_runs: 0x10",
        "events: no",
        "gpus_key: 12:30:45",
        "project: 2025-01-01",
        "project:\tarena",
        "project: '08'",
        "timeframe: 7d\t",
    ],
)
def test_what_the_agent_takes(validated: Callable[..., list[str]], line: str) -> None:
    assert validated(instance(line)) == []


NOT_BUILT = ". The Agent reads this key itself and would not build the check"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'min_collection_interval: "20"',
            'is text in quotes (`"20"`): write a whole number without quotes, `min_collection_interval: 20`',
        ),
        ("min_collection_interval: 4 minutes", "is text (`4 minutes`): write a whole number without quotes"),
        ("min_collection_interval: [120]", "is a list: write a whole number without quotes"),
        ("min_collection_interval: yes", "is `yes`: write a whole number without quotes"),
        ("min_collection_interval: 1:30", "is text (`1:30`): write a whole number without quotes"),
        (
            'empty_default_hostname: "true"',
            'is text in quotes (`"true"`): write true or false without quotes, `empty_default_hostname: true`',
        ),
        ("empty_default_hostname: 'no'", "write true or false without quotes, `empty_default_hostname: false`"),
        ("empty_default_hostname: 1", "is `1`: write true or false without quotes, `empty_default_hostname: true`"),
        ("empty_default_hostname: ja", "is text (`ja`): write true or false without quotes"),
        ("tags: env:x", "is text (`env:x`): write a list, `tags: [env:x]`"),
        ("tags: env:x, team:rl", "is text (`env:x, team:rl`): write a list, `tags: [env:x, team:rl]`"),
        ("tags: {env: x, team: rl}", "is a mapping: write a list, `tags: [env:x, team:rl]`"),
        ("tags: 5", 'is `5`: write a list, `tags: ["5"]`'),
        ("tags: [env:x, [team:rl]]", "entry 2 is a list: write one text for each entry"),
        ("tags: [{env: x}]", "entry 1 is a mapping for YAML: write `env:x`, without the space"),
        ("service: [a]", "is a list: write one text, `service: a`"),
        ("service: {name: a}", "is a mapping: write one text"),
        ("namespace: [a]", "is a list: write one text, `namespace: a`"),
        ("no_index: 'true'", "is text in quotes (`'true'`): write true or false without quotes"),
        ("loader: core", "is text (`core`): these checks are Python, remove the line or write `loader: python`"),
        ("loader: Python", "is text (`Python`): these checks are Python"),
        ("loader: [python]", "is a list: these checks are Python"),
    ],
)
def test_what_the_agent_refuses_before_python_sees_it(
    validated: Callable[..., list[str]], line: str, said: str
) -> None:
    (fault,) = validated(instance(line))
    assert fault.startswith(f"{line.partition(':')[0]} 8: ") or fault.split()[1].rstrip(":").isdigit()
    assert said in fault
    assert fault.endswith(NOT_BUILT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("init_config: []\n", "line 1: `init_config` is a list: write `init_config:` with nothing behind it"),
        ("init_config: ''\n", "line 1: `init_config` is text: write `init_config:` with nothing behind it"),
        ("init_config: false\n", "line 1: `init_config` is `false`: write"),
        ("init_config: 0\n", "line 1: `init_config` is a number: write"),
        ("init_config: {service: [a]}\n", "in `init_config`: is a list: write one text, `service: a`"),
        ("init_config: {loader: core}\n", "in `init_config`: is text (`core`): these checks are Python"),
        ("cluster_check: 'yes'\n", "write true or false without quotes, `cluster_check: true`"),
        ("cluster_check: 1\n", "is `1`: write true or false without quotes"),
        ("ad_identifiers: redis\n", "is text (`redis`): write a list, `ad_identifiers: [redis]`"),
        ("ignore_autodiscovery_tags: 'no'\n", "write true or false without quotes"),
    ],
)
def test_keys_of_the_file_that_the_agent_refuses(validated: Callable[..., list[str]], text: str, said: str) -> None:
    head = HEAD if not text.startswith("init_config") else HEAD.removeprefix("init_config:\n")
    (fault,) = validated(text + head)
    assert said in fault
    assert "would not build the check" in fault


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("project: 08", 'is `08`: write `project: "08"`'),
        ("project: 1e3", 'is `1e3`: write `project: "1e3"`'),
        ("project: 0x10", 'is `0x10`: write `project: "0x10"`'),
        ("entity: yes", 'is `yes`: write `entity: "yes"`'),
        ("entity: n", 'is `n`: write `entity: "n"`'),
        ("project: 010", 'is `010`: write `project: "010"`'),
        ("project: 1_000", 'is `1_000`: write `project: "1_000"`'),
        ("project: [arena]", "is a list: write `project: arena`"),
        ("timeframe: 24", "is `24`: write `timeframe: 24h`"),
        ("completed_runs: 3", "is `3`: write `completed_runs: 3h`"),
        ("full_refresh: 3600", "is `3600`: write `full_refresh: 3600s`"),
        ("metrics: loss", "is text (`loss`): write a list, `metrics: [loss]`"),
        ("metrics: loss, val/acc", "write a list, `metrics: [loss, val/acc]`"),
        ("run_tags: user", "is text (`user`): write a list, `run_tags: [user]`"),
        ("sps_keys: 5", 'is `5`: write a list, `sps_keys: ["5"]`'),
        ("metrics: {loss: acc}", "is a mapping: write a list, `metrics: [loss]`"),
        ("metrics: [loss, 08]", 'entry 2 is `08`: write `- "08"`'),
        ("max_runs: many", "is text (`many`): write a whole number, `max_runs: 500`"),
        ("max_runs: 1.5", "is `1.5`: write a whole number, `max_runs: 500`"),
        ("max_runs: -5", "is `-5`: it must be at least 0"),
        ("page_size: 5000", "is `5000`: it must be at most 1,000"),
        ("collection_timeout: soon", "is text (`soon`): write a number, `collection_timeout: 60`"),
        ("events: maybe", "is text (`maybe`): write true or false, without quotes"),
        ("proxy: http://proxy:3128", "is text: write a mapping, `key: value` in lines below it"),
        ("api_key: 12345678", "is a number: put it in quotes"),
        ("api_key: [0123456789abcdef]", 'is a list: write `api_key: "…"`'),
    ],
)
def test_a_value_of_another_type(validated: Callable[..., list[str]], line: str, said: str) -> None:
    (fault,) = validated(instance(line))
    assert fault.startswith(f"{line.partition(':')[0]} ")
    assert said in fault
    assert "12345678" not in fault


CI = """\
instances:
  - repo: {repo}
    tags: ["env:prod"]
    min_collection_interval: 240
    empty_default_hostname: true
{more}"""


@pytest.mark.parametrize("repo", ["arena", "my-team", "a/b/c", "team/", "https://github.com/team/arena"])
def test_a_repository_that_is_none_is_one_fault(validated: Callable[..., list[str]], repo: str) -> None:
    (fault,) = validated(CI.format(repo=repo, more=""), "metta_ci.d")
    assert fault.startswith("repo 2: is not owner/name: write it so")
    assert (f"(it is `{repo}`)" in fault) == ("://" not in repo)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "    conditions:\n      ci.workflow.cancelled: about 5\n      ci.workflow.success: '=> 1'\n"
            "      github.hotfix.count: 3\n",
            [
                "conditions 7: `ci.workflow.cancelled`: 'about 5' is not a condition",
                "conditions 8: `ci.workflow.success`: '=> 1' is not a condition",
                "conditions 9: the condition of github.hotfix.count is no text",
            ],
        ),
        (
            "    conditions: {ci.nothing: '> 1', ci.workflow.success: '> one', github.reverts.count: '< 2'}\n",
            [
                "conditions 6: 'ci.nothing' is not a judged figure",
                "conditions 6: `ci.workflow.success`: '> one' is not a condition",
            ],
        ),
        ("    window: 24\n    label_window: 7\n", ["window 6: is `24`: write `window: 24h`", "label_window 7: is `7`"]),
        (
            "    window: a day\n    max_age: 3 months\n",
            ["window 6: 'a day' is not a duration", "max_age 7: '3 months'"],
        ),
        (
            "    hotfix_labels: hotfix\n    bransh: main\n    distributions: 5\n",
            ["hotfix_labels 6", "bransh 7", "distr"],
        ),
    ],
)
def test_several_faults_of_one_file_at_once(validated: Callable[..., list[str]], more: str, said: list[str]) -> None:
    faults = sorted(validated(CI.format(repo="team/arena", more=more), "metta_ci.d"))
    assert len(faults) == len(said)
    for fault, words in zip(faults, sorted(said), strict=True):
        assert words in fault


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("run_types:", "  - {name: a, pattern: '('}", "  - {name: b, pattern: '['}"), ["'a' is no", "'b' is no"]),
        (("system_metrics: [gpu_power, gpu_heat, cpu]",), ["entry 2 is text (`gpu_heat`)", "entry 3 is text (`cpu`)"]),
        (
            ("run_types:", "  - {name: a, pattern: 5}", "  - {name: b, pattern: '['}"),
            ["entry 1, `pattern` is", "'b' is"],
        ),
        (("projects: {include: ['a(b', c, 'd[e']}", "project:"), ["`a(b`", "`d[e`"]),
    ],
)
def test_every_entry_of_a_list_at_once(
    validated: Callable[..., list[str]], lines: tuple[str, ...], said: list[str]
) -> None:
    faults = sorted(validated(instance(*lines)))
    assert len(faults) == len(said), faults
    for words in said:
        assert any(words in fault for fault in faults)


@pytest.mark.parametrize(
    ("text", "key", "line", "first"),
    [
        (HEAD + "    project: other\n", "project", 8, 4),
        (HEAD + "    tags: [a:b]\n", "tags", 8, 5),
        (HEAD + "init_config:\n", "init_config", 8, 1),
        (HEAD + "    proxy: {http: a, http: b}\n", "http", 8, 8),
        (HEAD + "instances: []\n" + HEAD.partition("\n")[2], "instances", 9, 2),
    ],
)
def test_a_key_that_is_there_twice(
    validated: Callable[..., list[str]], text: str, key: str, line: int, first: int
) -> None:
    faults = [fault for fault in validated(text) if "is written" in fault]
    assert faults[0].startswith(f"{key} ")
    assert "the Agent uses the last one" in faults[0]
    if first != line and key != "instances":
        assert faults == [
            f"{key} {line}: is written also on line {first}, and the Agent uses the last one without warning: "
            "remove one"
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEAD.replace("    project", "\tproject"),
            "line 4, column 1: no valid YAML, there is a tab here: indent with spaces",
        ),
        (HEAD.replace("    project", "    \tproject"), "there is a tab here: indent with spaces"),
        (HEAD.replace("  - entity", "\t- entity"), "line 3, column 1: no valid YAML, there is a tab here"),
        (HEAD.replace("- entity", "-\tentity"), "line 3, column 4: no valid YAML, there is a tab here"),
        (HEAD + "\t# a comment\n", "line 8, column 1: no valid YAML, there is a tab here"),
        (HEAD.replace("arena", "a\tb"), "there is a tab before this: write a space"),
        (HEAD.replace("arena", "@arena"), "a value cannot begin with this character: put the value in quotes"),
        (HEAD.replace("arena", "a: b"), "a `: ` is not expected here"),
        (HEAD.replace("arena", '"arena'), "text follows a value that has ended: check the quotes"),
        (HEAD + '    project: "arena\n', "a quote is not closed"),
        (HEAD.replace('["env:prod"]', '["env:prod"'), "a `[` is not closed, or a comma is missing"),
        (HEAD.replace("arena", r'"C:\data"'), "a backslash in double quotes: put the value in single quotes"),
        (HEAD.replace("project: arena", "project"), "a key without a colon"),
        (HEAD.replace("    project", "   project"), "this line is not indented as those above it"),
    ],
)
def test_yaml_that_is_none(validated: Callable[..., list[str]], text: str, said: str) -> None:
    (fault,) = validated(text)
    assert said in fault


EVAL = """\
instances:
  - source: {source}
    tags: ["env:prod"]
    min_collection_interval: 240
    empty_default_hostname: true
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("results.json", "is a relative path (`results.json`), and the Agent runs in a folder of its own"),
        ("./out/*.json", "is a relative path (`./out/*.json`)"),
        ("../results", "is a relative path"),
        ("~/results.json", "begins with `~`, which is another folder for the Agent: write it whole, /"),
        (r"C:\results\eval.json", r"is a path of Windows (`C:\results\eval.json`)"),
        ("c:/results/eval.json", "is a path of Windows"),
        (r"'\\server\share\eval.json'", "is a path of Windows"),
        ("gs://bucket/eval.json", "gs:// is not supported: write a path, s3://bucket/key, or http(s)://host/path"),
        ("azure://container/eval.json", "azure:// is not supported"),
        ("ftp://host/eval.json", "ftp:// is not supported"),
        ("file:///var/eval.json", "is an address of a file: write the path alone, from /, such as /var/eval.json"),
    ],
)
@pytest.mark.parametrize("folder", ["metta_training.d", "metta_eval.d"])
def test_a_source_that_the_agent_cannot_read(
    validated: Callable[..., list[str]], folder: str, source: str, said: str
) -> None:
    (fault,) = validated(EVAL.format(source=source), folder)
    assert fault.startswith("source 2: ")
    assert said in fault


@pytest.mark.parametrize("source", ["/var/eval.json", "/var/*.json", "s3://bucket/prefix/", "https://host/eval.json"])
def test_a_source_that_it_can_read(validated: Callable[..., list[str]], source: str) -> None:
    assert validated(EVAL.format(source=source), "metta_eval.d") == []


def test_a_file_of_300_megabytes_is_refused_at_once(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "metta_wandb.d" / "conf.yaml"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(HEAD.encode())
        file.truncate(300 * 1024 * 1024)
    for arguments in (("validate", path), ("collect", "wandb", "--config", path), ("estimate", "--config", path)):
        result = command(*arguments)
        assert result.exit_code in {1, 2}
        assert "it has more than 1,048,576 bytes" in " ".join(result.output.split())

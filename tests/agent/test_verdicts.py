"""`metta-checks validate` and the Agent come to the same verdict over the same files.

The Agent's verdict is what arrives of an instance: `metta.check.up` 1 where its check runs, 0 where the check refuses
its options, and nothing where the Agent does not build the check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import pytest
from agent_support.agent import Agent
from agent_support.intake import Intake
from click.testing import CliRunner

from metta_checks.cli import main

MakeAgent = Callable[..., Agent]
Verdict = Literal["runs", "refused", "not built"]

NOT_BUILT = "would not build the check"
SECOND_DOCUMENT, UNKNOWN_TAG = "a second document begins here", "a value cannot begin with `!`"
SECONDS = 240
VARIABLES = {"SEED_INTERVAL": "5", "SEED_WORD": "word"}

RUN = [
    "min_collection_interval: 0x5",
    "min_collection_interval: 0X5",
    "min_collection_interval: 0b101",
    "min_collection_interval: 0_5",
    "min_collection_interval: 5_",
    "min_collection_interval: 0o5",
    "min_collection_interval: 05",
    "min_collection_interval: 08",
    "min_collection_interval: 5.0",
    "min_collection_interval: 5e0",
    "min_collection_interval: +5",
    "min_collection_interval: !!int '5'",
    "min_collection_interval: '%%env_SEED_INTERVAL%%'",
    "empty_default_hostname: yes",
    "empty_default_hostname: On",
    "empty_default_hostname: y",
    "empty_default_hostname: TRUE",
    "empty_default_hostname: ~",
    "service: ~",
    "service: 'yes'",
    "service: '08'",
    "service: 2025-01-01",
    "service: 12:30:45",
    "service: '%%env_SEED_WORD%%'",
    "loader: python",
    "no_index: off",
    "series_budget: 1e3",
    "series_budget: 1_000",
    "series_budget: 0x10",
    "series_budget: 1000.0",
    "skip_proxy: no",
    "max_age: 26h",
    "max_age: 26H",
    "metric_patterns: ~",
    "metric_patterns: {exclude: [nothing]}",
    "disable_generic_tags: no",
    "init_config: ~",
    "init_config: {}",
    "init_config: {service: ~}",
    "cluster_check: false",
    "cluster_check: ~",
    "ignore_autodiscovery_tags: true",
    "check_tag_cardinality: low",
]
"""Lines with which the check runs."""

REFUSED = [
    "min_collection_interval: 0",
    "min_collection_interval: -5",
    "min_collection_interval: 1.5",
    "min_collection_interval: .5",
    "min_collection_interval: -1e19",
    "max_age: 26",
    "max_age: 26 parsecs",
    "max_age: 1.5h",
    "max_age: 1M",
    "max_age: 1e3",
    "series_budget: many",
    "series_budget: 1M",
    "series_budget: 1,000",
    "series_budget: 1e7",
    "series_budget: 0",
    "service: 5",
    "service: yes",
    "service: 08",
    "annotation_tags: commit",
    "annotation_tags: [5]",
    "annotation_tags: !!set {commit}",
    "source: gs://bucket/results.json",
    "max_bytes: 10MB",
    "timeout: 5s",
    "proxy: http://proxy:3128",
    "init_config: {timeout: 0}",
]
"""Lines that the Agent takes and the check refuses."""

NOT_BUILT_LINES = [
    'min_collection_interval: "5"',
    "min_collection_interval: 5 minutes",
    "min_collection_interval: 5s",
    "min_collection_interval: 1M",
    "min_collection_interval: 1:30",
    "min_collection_interval: 2025-01-01",
    "min_collection_interval: .inf",
    "min_collection_interval: [5]",
    "min_collection_interval: yes",
    "min_collection_interval: 99999999999999999999",
    "min_collection_interval: 1e30",
    'empty_default_hostname: "true"',
    "empty_default_hostname: tRuE",
    "empty_default_hostname: 1",
    "empty_default_hostname: ja",
    "service: [a]",
    "service: {name: a}",
    "service: '='",
    "service: <<",
    "service: 2025-99-99",
    "namespace: [a]",
    "no_index: 'true'",
    "loader: core",
    "loader: [python]",
    "metric_patterns: [a]",
    "metric_patterns: {include: a}",
    "metric_patterns: {exclude: ['(']}",
    "debug_metrics: x",
    "init_config: []",
    "init_config: ''",
    "init_config: 5",
    "init_config: {service: [a]}",
    "init_config: {loader: core}",
    "cluster_check: 'no'",
    "ignore_autodiscovery_tags: 'no'",
    "ad_identifiers: redis",
    "check_tag_cardinality: [low]",
    "advanced_ad_identifiers: x",
    "jmx_metrics: []",
    "docker_images: [redis]",
]
"""Lines with which the Agent does not build the check."""

LINES: Mapping[str, Verdict] = {
    **dict.fromkeys(RUN, "runs"),
    **dict.fromkeys(REFUSED, "refused"),
    **dict.fromkeys(NOT_BUILT_LINES, "not built"),
}
TOP = (
    "init_config",
    "cluster_check",
    "ignore_autodiscovery_tags",
    "ad_identifiers",
    "check_tag_cardinality",
    "advanced_ad_identifiers",
    "jmx_metrics",
    "docker_images",
)

HEAD = b"init_config:\ninstances:\n"
INSTANCE = b"""\
- source: @SOURCE@
  min_collection_interval: 10
  empty_default_hostname: true
  tags: ['env:test', 'seed:@NUMBER@']
"""
SOUND = HEAD + INSTANCE
BASE = b"- &base\n  source: @SOURCE@\n  min_collection_interval: 20\n  empty_default_hostname: true\n"

FILES: Mapping[str, tuple[bytes, Verdict]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + SOUND, "runs"),
    "line ends of Windows": (SOUND.replace(b"\n", b"\r\n"), "runs"),
    "no line end": (SOUND.rstrip(), "runs"),
    "a document mark": (b"---\n" + SOUND + b"...\n", "runs"),
    "YAML 1.1": (b"%YAML 1.1\n---\n" + SOUND, "runs"),
    "YAML 1.2": (b"%YAML 1.2\n---\n" + SOUND, "not built"),
    "UTF-16": (("\ufeff" + SOUND.decode()).encode("utf-16-le"), "runs"),
    "Latin-1": (SOUND.replace(b"test", b"t\xe9st"), "not built"),
    "Latin-1 in a comment": (b"# caf\xe9\n" + SOUND, "not built"),
    "a control character": (SOUND.replace(b"test", b"t\x01st"), "not built"),
    "a comment of 500,000 characters": (b"#" * 500_000 + b"\n" + SOUND, "runs"),
    "a value of 60,000 characters": (SOUND + b"  annotation_tags: [" + b"x" * 60_000 + b"]\n", "runs"),
    "a key of 2,000 characters": (SOUND + b"  " + b"k" * 2_000 + b": 5\n", "not built"),
    "a tab for a blank": (SOUND.replace(b": ", b":\t"), "runs"),
    "tabs at line ends": (SOUND.replace(b"\n", b"\t\n"), "runs"),
    "a tab for indentation": (SOUND.replace(b"\n  ", b"\n\t"), "not built"),
    "a tab before a comment": (SOUND + b"\t# more\n", "not built"),
    "JSON": (
        b'{"init_config": {}, "instances": [{"source":"@SOURCE@","min_collection_interval":10,'
        b'"empty_default_hostname":true,"tags":["env:test","seed:@NUMBER@"]}]}',
        "runs",
    ),
    "a slash with a backslash, as in JSON": (SOUND + b'  service: "a\\/b"\n', "not built"),
    "half of a surrogate pair": (SOUND + b'  service: "a\\ud83d"\n', "not built"),
    "a backslash in double quotes": (SOUND + b'  service: "\\d"\n', "not built"),
    "a merge key before the options": (HEAD + BASE + b"-\n  <<: *base\n  " + INSTANCE[2:], "runs"),
    "two merged mappings": (HEAD + BASE + b"-\n  <<: [*base, {max_age: 26h}]\n  " + INSTANCE[2:], "runs"),
    "a merge key with a bad option": (SOUND + b"  <<: {max_age: 26}\n", "refused"),
    "a merge key with a text for a number": (SOUND + b"  <<: {no_index: 'yes'}\n", "not built"),
    "an alias": (SOUND.replace(b"interval: 10", b"interval: &ten 10") + b"  series_budget: *ten\n", "runs"),
    "an alias of nothing": (SOUND + b"  max_age: *nothing\n", "not built"),
    "no init_config": (b"instances:\n" + INSTANCE, "runs"),
    "instances of nothing": (b"init_config:\ninstances:\n", "not built"),
    "instances as a mapping": (HEAD + INSTANCE.replace(b"- ", b"  "), "not built"),
    "instances that are empty": (b"init_config:\ninstances: []\n", "not built"),
    "an instance that is text": (SOUND + b"- more\n", "not built"),
    "no instances": (b"init_config:\n", "not built"),
    "an empty file": (b"", "not built"),
    "a list": (b"- a\n", "not built"),
    "a flow mapping": (
        HEAD + b"- {source: @SOURCE@, min_collection_interval: 10, tags: ['env:test', 'seed:@NUMBER@']}\n",
        "runs",
    ),
    "a quote that is not closed": (SOUND + b"  max_age: '26h\n", "not built"),
    "braces of a template": (SOUND + b"  max_age: {{ age }}\n", "not built"),
    "another case of instances": (SOUND.replace(b"instances", b"Instances"), "not built"),
}
"""Whole files, and the common verdict."""

STRICTER: Mapping[str, bytes] = {
    "an unknown option": SOUND + b"  max_aeg: 26h\n",
    "an unknown key of the file": b"cluster_checks: true\n" + SOUND,
    "an unknown key of init_config": SOUND.replace(b"init_config:", b"init_config: {foo: 1}"),
    "a key that occurs twice": SOUND + b"  max_age: 26h\n  max_age: 27h\n",
    "init_config that occurs twice": b"init_config:\n" + SOUND,
    "an option above the merge key that replaces it": SOUND + b"  max_age: 27h\n  <<: {max_age: 26h}\n",
    "a bad option above the merge key that replaces it": SOUND + b"  max_age: 27\n  <<: {max_age: 26h}\n",
    "a second document": SOUND + b"---\nmore: true\n",
    "an unknown tag of YAML": SOUND + b"  max_age: !days 26h\n",
    "a no-break space": SOUND.replace(b"test", "t\u00a0st".encode()),
    "a variable that is not set": SOUND.replace(b"'env:test'", b"'env:test', 'word:%%env_SEED_NONE%%'"),
}
"""What the Agent runs and `validate` refuses, since nobody means it."""


def text_of(line: str) -> bytes:
    """A configuration of metta_training with the line in its place."""
    option = line.partition(":")[0]
    own = {
        "source": "@SOURCE@",
        "min_collection_interval": 10,
        "empty_default_hostname": "true",
        "tags": "['env:test', 'seed:@NUMBER@']",
    }
    kept = [f"{name}: {value}" for name, value in own.items() if name != option]
    instance = kept if option in TOP else [*kept, line]
    head = [*([] if option == "init_config" else ["init_config:"]), *([line] if option in TOP else [])]
    return "\n".join([*head, "instances:", "-", *(f"  {one}" for one in instance), ""]).encode()


CONTENTS: Mapping[str, bytes] = {
    **{line: text_of(line) for line in LINES},
    **{name: content for name, (content, _) in FILES.items()},
    **STRICTER,
}
OF_VALIDATE: Mapping[str, Verdict] = {
    **LINES,
    **{name: verdict for name, (_, verdict) in FILES.items()},
    **dict.fromkeys(STRICTER, "refused"),
}
OF_THE_AGENT: Mapping[str, Verdict] = {**OF_VALIDATE, **dict.fromkeys(STRICTER, "runs")}


def verdict_of_validate(path: Path) -> Verdict:
    result = CliRunner().invoke(main, ["validate", str(path), "--check", "training", "--format", "json"])
    faults = [one for one in json.loads(result.stdout)["findings"] if one["level"] == "fault"]
    if any(NOT_BUILT in one["text"] for one in faults):
        return "not built"
    # A file that cannot be taken apart has no faults of options.
    whole = [one for one in faults if one["option"] is None and one["instance"] is None]
    if whole and SECOND_DOCUMENT not in whole[0]["text"] and UNKNOWN_TAG not in whole[0]["text"]:
        return "not built"
    return "refused" if faults else "runs"


def configure(folder: Path, sources: Path) -> dict[str, Path]:
    """A file for each configuration, and for each a source of its own; its series have the tag `seed:NUMBER`."""
    folder.mkdir(parents=True)
    sources.mkdir()
    record = {"metric": "m", "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0", "value": 1}
    files = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        source = sources / f"{number}.json"
        source.write_text(json.dumps([record]), encoding="utf-8")
        files[name] = folder / f"seed-{number}.yaml"
        in_utf16 = content.startswith(b"\xff\xfe")
        filled = content.decode("utf-16-le").encode() if in_utf16 else content
        filled = filled.replace(b"@SOURCE@", str(source).encode()).replace(b"@NUMBER@", str(number).encode())
        files[name].write_bytes(filled.decode().encode("utf-16-le") if in_utf16 else filled)
    return files


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `%%env_…%%`, which the Agent gets too."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_validate_comes_to_the_expected_verdicts(tmp_path: Path) -> None:
    files = configure(tmp_path / "metta_training.d", tmp_path / "sources")
    verdicts = {name: verdict_of_validate(path) for name, path in files.items()}
    assert {name: one for name, one in verdicts.items() if one != OF_VALIDATE[name]} == {}


def test_the_agent_comes_to_the_same_verdicts(make_agent: MakeAgent, intake: Intake, tmp_path: Path) -> None:
    agent = make_agent()
    agent.environment.update(VARIABLES)
    configure(agent.home / "conf.d" / "metta_training.d", tmp_path / "sources")
    numbers = {f"seed:{number}": name for number, name in enumerate(CONTENTS)}

    def arrived() -> dict[str, Verdict]:
        """The last `metta.check.up` of each configuration's instance; the others were not built."""
        found: dict[str, Verdict] = dict.fromkeys(CONTENTS, "not built")
        for point in intake.points:
            if point.metric == "metta.check.up":
                for tag in numbers.keys() & set(point.tags):
                    found[numbers[tag]] = "runs" if point.value == 1 else "refused"
        return found

    agent.start()
    intake.wait_for(lambda: arrived() == OF_THE_AGENT, SECONDS)
    # Two more flushes, for what should not come.
    intake.wait_for(lambda: False, 30)
    assert {name: one for name, one in arrived().items() if one != OF_THE_AGENT[name]} == {}

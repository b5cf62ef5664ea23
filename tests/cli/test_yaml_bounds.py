"""Configuration files that are small to write and large to load: every command refuses them at once and by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]

MEMBERS = "entity: e, project: p, empty_default_hostname: true, min_collection_interval: 120, tags: [env:test]"


def chain(first: str, link: str, levels: int) -> str:
    """Anchors a0, a1, …: `first` is the value of a0, and in `link` `*` stands for the anchor before."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {link.replace('*', f'*a{n - 1}')}" for n in range(1, levels)]
    return "\n".join([*lines, f"instances: [{{{MEMBERS}, metrics: *a{levels - 1}}}]", ""])


TEN = ",".join("*" * 10)

BOMBS = {
    "billion laughs": chain("[lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]", f"[{TEN}]", 9),
    "mappings": chain("{a: x}", "{a: *, b: *, c: *, d: *}", 20),
    "merge keys": chain("{a: x}", f"{{<<: [{TEN}], b: y}}", 9),
    "quadratic": f"a: &a [{'x,' * 3_000}]\ninstances: [{{{MEMBERS}, metrics: [{'*a,' * 3_000}]}}]\n",
    "long text": f"a: &a {'x' * 100_000}\ninstances: [{{{MEMBERS}, metrics: [{'*a,' * 10_000}]}}]\n",
    "no alias": f"instances: [{{{MEMBERS}, metrics: [{'x,' * 60_000}]}}]\n",
}
RECURSIVE = {
    "a list": f"a: &a [*a]\ninstances: [{{{MEMBERS}, metrics: *a}}]\n",
    "a mapping": f"a: &a {{b: {{c: *a}}}}\ninstances: [{{{MEMBERS}}}]\n",
    "merged": f"a: &a {{<<: *a}}\ninstances: [{{{MEMBERS}}}]\n",
    "the instance": f"instances:\n- &i {{{MEMBERS}, metrics: [*i]}}\n",
    "the document": f"&d\ninstances: [{{{MEMBERS}}}]\nmore: *d\n",
}
DEEP = {
    "flow": f"instances: [{{{MEMBERS}, metrics: {'[' * 150}{']' * 150}}}]\n",
    "never closed": f"instances: {'[' * 500_000}",
    "mappings": f"instances: {'{a: ' * 100_000}",
    "block": f"instances:\n{'- ' * 200_000}x\n",
    "keys": f"instances:\n{'? ' * 200_000}x\n",
    "aliases": chain("[x]", "[*]", 5_000),
}
NUMBERS = {
    "digits": f"instances: [{{{MEMBERS}, max_runs: {'9' * 500_000}}}]\n",
    "hexadecimal": f"instances: [{{{MEMBERS}, max_runs: 0x{'f' * 500_000}}}]\n",
}
CASES = [
    *(pytest.param(text, "where an alias counts as often as it is used", id=name) for name, text in BOMBS.items()),
    *(
        pytest.param(text, "an alias is inside of the value that it refers to", id=name)
        for name, text in RECURSIVE.items()
    ),
    *(pytest.param(text, "no valid YAML, nested too deeply", id=f"deep: {name}") for name, text in DEEP.items()),
    *(pytest.param(text, "a number has more than 100 digits", id=f"number: {name}") for name, text in NUMBERS.items()),
]

COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "validate": lambda path: ["validate", path],
    "validate a tree": lambda path: ["validate", path.parents[2]],
    "list": lambda path: ["list", "--agent-dir", path.parents[2]],
    "collect": lambda path: ["collect", "wandb", "--config", path],
    "verify": lambda path: ["verify", "wandb", "--config", path],
    "estimate": lambda path: ["estimate", "--check", "wandb", "--config", path],
}


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "agent/conf.d/metta_wandb.d/conf.yaml"
    path.parent.mkdir(parents=True)
    return path


def words(result: Result) -> str:
    """The output in one line, since tables wrap it."""
    return " ".join(result.output.split())


@pytest.mark.parametrize(("text", "problem"), CASES)
def test_what_costs_too_much_to_load_is_refused(text: str, problem: str, command: Command, configuration: Path) -> None:
    configuration.write_text(text)

    result = command("validate", configuration)

    assert result.exit_code == 1
    assert str(configuration) in result.output
    assert problem in words(result)
    assert "line " in words(result)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_reads_configurations_refuses_it(name: str, command: Command, configuration: Path) -> None:
    configuration.write_text(BOMBS["billion laughs"])

    result = command(*COMMANDS[name](configuration))

    assert "where an alias counts as often as it is used" in words(result)
    assert "metta_wandb.d/conf.yaml" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_of_300_megabytes_is_not_read(name: str, command: Command, configuration: Path) -> None:
    configuration.write_text("instances:\n")
    with configuration.open("r+b") as file:
        file.truncate(300 * 1024 * 1024)

    result = command(*COMMANDS[name](configuration))

    assert "it has more than 1,048,576 bytes: split it into several files" in words(result)


def test_the_agents_own_file_is_read_within_bounds_too(command: Command, configuration: Path) -> None:
    configuration.write_text(f"instances: [{{{MEMBERS.replace('env:test', 'team:a')}}}]\n")
    configuration.parents[2].joinpath("datadog.yaml").write_text(BOMBS["billion laughs"] + "env: prod\n")

    assert "no `env:` tag anywhere" in words(command("validate", configuration))


def many(instances: int) -> str:
    options = "\n".join(f"  option_{n}: text" for n in range(8))
    return "instances:\n" + "\n".join(f"- entity: e{n}\n{options}" for n in range(instances)) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        f"shared: &tags [env:test]\ninstances: [{{{MEMBERS.replace('[env:test]', '*tags')}}}]\n",
        f"shared: &all {{{MEMBERS}}}\ninstances:\n- <<: *all\n- <<: [*all, *all]\n  project: q\n",
        f"instances: [{{{MEMBERS}, metrics: {'[' * 50}{']' * 50}}}]\n",
        pytest.param(many(100), id="100 instances"),
    ],
)
def test_aliases_merge_keys_and_long_files_as_people_write_them_are_loaded(
    text: str, command: Command, configuration: Path
) -> None:
    configuration.write_text(text)

    said = words(command("validate", configuration))

    for problem in ("an alias", "nested", "YAML", "bytes"):
        assert problem not in said


def test_a_pipe_may_stand_for_a_configuration_that_is_named(command: Command) -> None:
    readable, writable = os.pipe()
    os.write(writable, f"instances: [{{{MEMBERS}}}]\n".encode())
    os.close(writable)
    try:
        result = command("validate", "--check", "wandb", f"/dev/fd/{readable}")
    finally:
        os.close(readable)

    assert "1 file: 0 faults" in result.stdout


@pytest.mark.parametrize(("name", "said"), [("validate a tree", "1 file:"), ("list", "good.yaml")])
def test_a_fifo_among_the_configurations_holds_nobody_up(
    name: str, said: str, command: Command, configuration: Path
) -> None:
    os.mkfifo(configuration)
    configuration.with_name("good.yaml").write_text(f"instances: [{{{MEMBERS}}}]\n")
    os.mkfifo(configuration.parents[2] / "datadog.yaml")

    assert said in command(*COMMANDS[name](configuration)).output

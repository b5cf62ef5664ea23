"""A check is added as CONTRIBUTING.md describes it, in a copy of the repository: nothing else has to be edited."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from metta_checks.checks import CHECKS

ROOT = Path(__file__).parents[1]
SLUG = "queue"
NAMES = [*(definition.name for definition in CHECKS), f"metta_{SLUG}"]

pytestmark = pytest.mark.slow


class Block(NamedTuple):
    """A fenced block of the instructions, and the file that the paragraph before it begins with."""

    language: str
    path: str | None
    text: str


def instructions(heading: str = "## Add a check") -> Iterator[Block]:
    """The blocks below a heading, to the next one."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.split(r"\n##+ ", text.partition(f"\n{heading}\n")[2])[0]
    before = ""
    for prose, language, body in re.findall(r"(.*?)^ {3}```(\w+)\n(.*?)^ {3}```$", section, re.DOTALL | re.MULTILINE):
        before = prose.strip().rpartition("\n\n")[2].strip()
        path = re.match(r"`([\w./]+)`", before)
        yield Block(language, path[1] if path else None, re.sub(r"(?m)^ {3}", "", body))


class Copy:
    """A copy of the repository, and the commands in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # The copy comes before the tree that the environment has installed.
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return self.run("bash", "-euo", "pipefail", "-c", script)

    def follow(self, steps: Iterable[Block]) -> None:
        """Write the files of the instructions, and run their commands."""
        for block in steps:
            if block.path is None:
                ran = self.shell(block.text)
                assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
            else:
                path = self.root / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")

    def command(self, *arguments: str | Path) -> str:
        ran = self.run(sys.executable, "-m", "metta_checks", *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def copied(root: Path) -> Copy:
    ignored = shutil.ignore_patterns(".*_cache", ".git", ".hypothesis", ".venv", "__pycache__", "recordings")
    shutil.copytree(ROOT, root, ignore=ignored)
    return Copy(root)


def require_generator(copy: Copy) -> None:
    """Skip where the generator's own environment is not at hand and cannot be installed."""
    ran = copy.run("python3", ".ci/generate", "--check")
    if ran.returncode and "CalledProcessError" in ran.stderr and "pip" in ran.stderr:
        pytest.skip("the generator's environment is not installed, and no package index can be reached")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The repository with a fifth check: every file and command of the instructions but the last, which look at it."""
    copy = copied(tmp_path_factory.mktemp("fifth") / "repository")
    require_generator(copy)
    *steps, last = instructions()
    copy.follow(steps)
    assert last.language == "sh"
    return copy


@pytest.fixture(scope="module")
def configuration(copy: Copy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of the check, made of its example, in an Agent's folder."""
    example = (copy.root / f"conf.d/metta_{SLUG}.d/conf.yaml.example").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("agent")
    (folder / "queue.json").write_text('{"gpu": 3}')
    for placeholder, value in {"<PATH>": str(folder / "queue.json"), "<ENV>": "test", "<TEAM>": "rl"}.items():
        example = example.replace(placeholder, value)
    path = folder / f"conf.d/metta_{SLUG}.d/conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(example)
    return path


def test_generated_files_are_complete(copy: Copy) -> None:
    ran = copy.run("python3", ".ci/generate", "--check")
    assert (ran.returncode, ran.stdout) == (0, "generated files are up to date\n")
    shims = yaml.safe_load((copy.root / "deploy/kubernetes/shims.yaml").read_text())["data"]
    assert set(shims) == {f"{name}.py" for name in NAMES}
    assert shims[f"metta_{SLUG}.py"] == (copy.root / f"checks.d/metta_{SLUG}.py").read_text()


def test_it_is_listed(copy: Copy, tmp_path: Path) -> None:
    listed = json.loads(copy.command("list", "--format", "json", "--agent-dir", tmp_path))
    assert [one["check"] for one in listed] == NAMES
    assert listed[-1]["instances"][0]["interval"] == 240


def test_its_configuration_is_validated(copy: Copy, configuration: Path) -> None:
    assert "1 file" in copy.command("validate", configuration)
    slip = configuration.with_name("slip.yaml")
    slip.write_text(configuration.read_text() + "    collection_timeuot: 5\n")
    ran = copy.run(sys.executable, "-m", "metta_checks", "validate", slip)
    slip.unlink()
    assert ran.returncode == 1
    assert "did you mean `collection_timeout`" in " ".join(ran.stdout.split())


def test_it_collects(copy: Copy, configuration: Path) -> None:
    document = json.loads(copy.command("collect", SLUG, "--config", configuration, "--format", "json"))
    metrics: list[dict[str, Any]] = document["collections"][0]["metrics"]
    (waiting,) = (metric for metric in metrics if metric["metric"] == "queue.jobs_waiting")
    assert (waiting["value"], waiting["type"]) == (3, "gauge")
    assert waiting["tags"] == ["env:test", "partition:gpu", "queue_file:queue.json", "team:rl"]


def test_its_cost_is_estimated(copy: Copy, configuration: Path) -> None:
    (estimate,) = json.loads(copy.command("estimate", "--config", configuration, "--format", "json"))
    assert estimate["check"] == f"metta_{SLUG}"
    assert {"metric": "queue.jobs_waiting", "type": "gauge", "tag_sets": 5, "billed": 5} in estimate["metrics"]


def test_the_demo_runs_it(copy: Copy, tmp_path: Path) -> None:
    lines = copy.command("demo", "--board", tmp_path / "board.html").splitlines()
    for name in NAMES:
        assert any(line.split()[:2] == [name, "ok"] for line in lines), name


def test_the_linter_has_its_metrics(copy: Copy, tmp_path: Path) -> None:
    pytest.importorskip("datadog_api_client", reason="the linter needs the API client")
    assert "nothing found" in copy.command("board", "lint")
    text = (ROOT / "tests/board/fixtures/clean-monitor.json").read_text(encoding="utf-8")
    query = "min:metta.check.up{check_name:metta_ci} by {env,repo,branch}"
    assert query in text
    for replaced, problem in (
        ("sum:queue.jobs_waiting{partition:gpu} by {env,queue_file}", None),
        ("sum:queue.jobs_waiting{color:red} by {env,queue_file}", "queue.jobs_waiting has no tag 'color'"),
        ("sum:queue.jobs_wating{partition:gpu} by {env,queue_file}", "no check emits queue.jobs_wating"),
        ("avg:queue.jobs_waiting{partition:gpu} by {env,queue_file}", "queue.jobs_waiting counts things"),
        ("min:metta.check.up{check_name:metta_queue} by {env,queue_file}", None),
    ):
        path = tmp_path / "monitor.json"
        path.write_text(text.replace(query, replaced), encoding="utf-8")
        found = copy.run(sys.executable, "-m", "metta_checks", "board", "lint", path).stdout
        of_metric = [line for line in found.splitlines() if re.search(r"\[(metric|tag|value|aggregator)\]$", line)]
        assert [problem in line for line in of_metric] == ([True] if problem else []), found


def test_the_last_step_of_the_instructions_shows_it(copy: Copy) -> None:
    *_, last = instructions()
    ran = copy.shell(last.text)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    assert "metta_queue, instance 1: about " in ran.stdout
    assert " passed" in ran.stdout


def test_the_other_structural_tests_pass(copy: Copy) -> None:
    tests = [
        f"tests/{name}.py" for name in ("board/test_terraform", "deploy/test_manifests", "deploy/test_configurations")
    ]
    ran = copy.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr


def test_a_specification_without_what_the_base_reads_is_refused(copy: Copy) -> None:
    spec = copy.root / f"metta_checks/{SLUG}/spec.yaml"
    before = spec.read_text(encoding="utf-8")
    assert "template: core/options" in before
    spec.write_text(before.replace("template: core/options", "template: instances/http"))
    try:
        ran = copy.run("python3", ".ci/generate", "--check")
    finally:
        spec.write_text(before)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"metta_checks/{SLUG}/spec.yaml:\n")
    for sentence in (
        "the instance option `collection_timeout` is missing: it limits the seconds of a collection.",
        "the instance option `max_response_bytes` or `max_bytes` is missing: it limits the bytes of one response.",
        "the instance option `min_collection_interval` needs `enabled: true` and a `value.example`: the",
        "the instance option `empty_default_hostname` needs `enabled: true` and a `value.example`: figures about",
        "The template `core/options` has it.",
    ):
        assert sentence in ran.stderr, ran.stderr


def test_a_check_that_reads_an_api(copy: Copy, tmp_path: Path) -> None:
    """Follows all other tests here: it turns the copy's check into one that reads over HTTP."""
    copy.follow(instructions("### If the check reads an API"))
    (tmp_path / "queue.yaml").write_text("instances:\n  - url: http://127.0.0.1:9/queue\n    skip_proxy: true\n")
    ran = copy.run(sys.executable, "-m", "metta_checks", "collect", SLUG, "--config", tmp_path / "queue.yaml")
    assert ran.returncode == 1
    assert "Scheduler: GET http://127.0.0.1:9/queue for the queue: 127.0.0.1:9 refused the connection" in ran.stderr

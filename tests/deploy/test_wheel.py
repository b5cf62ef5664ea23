"""The wheel is the whole installation: it holds what an Agent needs, and runs with nothing but what Agents ship."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from deploy_support import as_agent
from deploy_support.pythons import run

from metta_checks.__about__ import __version__
from metta_checks.checks import CHECKS
from metta_checks.simulator.sandbox import sandbox

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    """The wheel's files by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def instances() -> Iterator[dict[str, dict[str, Any]]]:
    """An instance of each check by its name, with sample data behind it."""
    with sandbox() as demo:
        yield {f"metta_{slug}": dict(instance) for slug, instance in demo.instances.items()}


def test_the_wheel_holds_the_whole_package(contents: Mapping[str, bytes]) -> None:
    """Every file of it: models and specs, metadata.csv, the record's schema, the boards."""
    expected = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in (ROOT / "metta_checks").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"metta_checks/{entry.slug}/metadata.csv" for entry in CHECKS} <= set(expected)
    assert "metta_checks/health/record.schema.json" in expected
    packaged = {name for name in contents if name.startswith("metta_checks/") and "/_agent/" not in name}
    assert packaged == set(expected)
    assert [name for name, text in expected.items() if contents[name] != text] == []


def test_it_holds_what_the_agent_loads_from_folders_of_its_own(contents: Mapping[str, bytes]) -> None:
    expected = {}
    for entry in CHECKS:
        for name in (f"checks.d/{entry.name}.py", f"conf.d/{entry.name}.d/conf.yaml.example"):
            expected[f"metta_checks/_agent/{name}"] = (ROOT / name).read_bytes()
    assert {name: text for name, text in contents.items() if "/_agent/" in name} == expected


def test_nothing_else_is_in_it(contents: Mapping[str, bytes]) -> None:
    folders = {name.partition("/")[0] for name in contents}
    assert folders == {"metta_checks", f"metta_checks-{__version__}.dist-info"}


def test_the_version_stands_in_one_place(contents: Mapping[str, bytes]) -> None:
    metadata = message_from_string(contents[f"metta_checks-{__version__}.dist-info/METADATA"].decode())
    assert metadata["Version"] == __version__
    written = re.compile(r"""__version__\s*(?::[^=]*)?=\s*["']""")
    sources = [*(ROOT / "metta_checks").rglob("*.py"), *(ROOT / "checks.d").glob("*.py"), ROOT / "pyproject.toml"]
    holders = [str(path.relative_to(ROOT)) for path in sources if written.search(path.read_text(encoding="utf-8"))]
    assert holders == ["metta_checks/__about__.py"]
    assert "\nversion" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_it_asks_for_nothing_that_an_agent_does_not_ship(contents: Mapping[str, bytes]) -> None:
    metadata = message_from_string(contents[f"metta_checks-{__version__}.dist-info/METADATA"].decode())
    needed = {
        re.split(r"[\[<>=; ]", line)[0] for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line
    }
    shipped = (Path(__file__).parent / "agent-constraints.txt").read_text(encoding="utf-8")
    assert needed - {line.partition("==")[0] for line in shipped.splitlines()} == {"datadog-checks-base"}


def test_from_the_wheel_alone_all_checks_give_the_same_series_as_from_the_tree(
    agent_python: Path, instances: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    site = Path(run(agent_python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())

    now = datetime.now(UTC)
    from_wheel = collected(agent_python, site / "metta_checks" / "_agent" / "checks.d", instances, now, tmp_path)
    from_tree = collected(Path(sys.executable), ROOT / "checks.d", instances, now, tmp_path)

    assert Path(from_wheel["package"]) == site / "metta_checks" / "__init__.py"
    assert Path(from_tree["package"]) == ROOT / "metta_checks" / "__init__.py"
    assert set(from_wheel["checks"]) == {entry.name for entry in CHECKS}
    for name, outcome in from_wheel["checks"].items():
        assert outcome["error"] == "", name
        assert outcome["version"] == __version__
        assert ["gauge", "metta.check.up"] in [one[:2] for one in outcome["series"]]
        assert outcome["series"] == from_tree["checks"][name]["series"], name


def test_the_command_works_from_the_wheel_alone(agent_python: Path, tmp_path: Path) -> None:
    shown = run(agent_python.with_name("metta-checks"), "list", cwd=tmp_path, env=bare_environment(tmp_path))
    for entry in CHECKS:
        assert entry.name in shown


def test_the_demo_needs_what_an_agent_does_not_have(agent_python: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError,
        match="graphql-core, which the simulated servers need, is not installed: .* pip install 'graphql-core>=3.2'",
    ):
        run(agent_python.with_name("metta-checks"), "demo", cwd=tmp_path, env=bare_environment(tmp_path))


def collected(
    python: Path, shims: Path, instances: Mapping[str, Mapping[str, Any]], now: datetime, somewhere: Path
) -> dict[str, Any]:
    """One collection of each instance at `now` in a process of that Python, which sees nothing of the source tree."""
    done = subprocess.run(
        [str(python), "-I", str(as_agent.__file__), str(shims), now.isoformat()],
        input=json.dumps(instances),
        capture_output=True,
        text=True,
        cwd=somewhere,
        env=bare_environment(somewhere),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def bare_environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "DDEV_SKIP_GENERIC_TAGS_CHECK": "1"}

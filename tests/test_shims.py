"""The files in checks.d, loaded as the Agent loads them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from datadog_checks.base import AgentCheck

from metta_checks.__about__ import __version__
from metta_checks.checks import CHECKS, find_check
from metta_checks.core import MettaCheck

SHIMS = sorted((Path(__file__).parents[1] / "checks.d").glob("*.py"))


@pytest.fixture(params=SHIMS, ids=lambda path: path.stem)
def shim(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The module of one file, imported by its path."""
    path: Path = request.param
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


def class_that_the_agent_takes(module: ModuleType) -> type[AgentCheck]:
    """The first name in sorted `dir()` that is a strict subclass of AgentCheck without subclasses of its own."""
    for name in sorted(dir(module)):
        found = getattr(module, name)
        if (
            isinstance(found, type)
            and issubclass(found, AgentCheck)
            and found is not AgentCheck
            and not found.__subclasses__()
        ):
            return found
    raise AssertionError(f"{module.__name__} holds no check")


def test_there_is_a_shim_for_every_check() -> None:
    assert {path.stem for path in SHIMS} == {definition.name for definition in CHECKS}


def test_the_agent_finds_our_class(shim: ModuleType) -> None:
    found = class_that_the_agent_takes(shim)
    assert issubclass(found, MettaCheck)
    assert found is find_check(shim.__name__).check_class()
    # `AgentCheck` derives the models and the package's folder from the first two parts of this path.
    assert found.__module__ == f"{find_check(shim.__name__).package}.check"


def test_the_agent_finds_the_version(shim: ModuleType) -> None:
    assert type(shim.__version__) is str
    assert shim.__version__ == __version__


def test_the_agent_makes_the_check_from_keywords(shim: ModuleType) -> None:
    found = class_that_the_agent_takes(shim)
    check = found(name=shim.__name__, init_config=None, instances=[{"tags": None}])
    assert check.name == shim.__name__
    assert check.check_version == __version__
    # Two levels deep, or the base class loses sight of the models and of metadata.csv.
    package = Path(str(sys.modules[found.__module__].__file__)).parent
    assert Path(check._get_package_dir()) == package
    assert (package / "config_models").is_dir()


def test_a_file_is_a_few_lines_and_its_name_hides_nothing(shim: ModuleType) -> None:
    source = Path(str(shim.__file__)).read_text(encoding="utf-8")
    assert len(source.splitlines()) < 15
    assert shim.__name__.startswith("metta_")
    # The Helm chart passes the file through its template engine.
    assert "{{" not in source

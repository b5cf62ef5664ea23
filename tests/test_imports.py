"""Who imports whom: the rules of the layout, computed from the sources, imports for type checking included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from metta_checks.checks import CHECKS

ROOT = Path(__file__).parents[1]
PACKAGE = "metta_checks"
SLUGS = {definition.slug for definition in CHECKS}
WITH_HEALTH = {"ci", *(definition.slug for definition in CHECKS if definition.records)}

ALLOWED: Mapping[str, set[str]] = {
    "core": set(),
    "health": {"core"},
    "checks": {"core"},
    "board": {"core", "health", "checks", *SLUGS},
    "simulator": {"core", "health", "checks", *SLUGS},
    "cli": {"core", "health", "checks", "board", "simulator", *SLUGS},
    **{slug: {"core", "health"} if slug in WITH_HEALTH else {"core"} for slug in SLUGS},
}
"""What each part may import, itself aside. Where a part is not a package it is a module."""

ANYWHERE = {"__about__"}


@cache
def sources() -> dict[str, Path]:
    """Every module of the package by name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports_of(name: str) -> frozenset[str]:
    """The modules of the package that a module imports, wherever in it the import stands."""
    path = sources()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # A name is a module of its own, or something in the package that is named.
            named |= {full if (full := f"{base}.{alias.name}") in sources() else base for alias in node.names}
    return frozenset(named & set(sources())) - {name}


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def crossings() -> Iterator[tuple[str, str]]:
    """Every import from one part of the package into another."""
    for name in sources():
        for other in sorted(imports_of(name)):
            if part_of(other) not in {part_of(name), "", *ANYWHERE}:
                yield name, other


def test_every_import_between_parts_is_allowed() -> None:
    ours = [(name, other) for name, other in crossings() if part_of(name) in ALLOWED]
    assert ours
    assert [f"{name} imports {other}" for name, other in ours if part_of(other) not in ALLOWED[part_of(name)]] == []


def test_every_part_has_a_rule() -> None:
    parts = {part_of(name) for name in sources()} - {"", "__main__", "_agent", *ANYWHERE}
    assert parts == set(ALLOWED)


def test_there_are_no_cycles() -> None:
    try:
        TopologicalSorter({name: imports_of(name) for name in sources()}).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(reversed(error.args[1]))}")


def test_a_definition_imports_nothing_of_its_package() -> None:
    assert {other for slug in SLUGS for other in imports_of(f"{PACKAGE}.{slug}.definition")} == {
        f"{PACKAGE}.core.definition"
    }


def test_listing_the_checks_loads_neither_the_base_class_nor_http() -> None:
    program = f"""
import sys, {PACKAGE}.checks
heavy = {{"boto3", "datadog_checks", "pydantic", "requests", "yaml"}}
print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}), len({PACKAGE}.checks.CHECKS))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == f"[] {len(CHECKS)}\n"


@pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)
def test_what_a_definition_names_is_there(definition: object) -> None:
    (found,) = (one for one in CHECKS if one is definition)
    assert found.check_class().__module__ == f"{found.package}.check"
    assert callable(found.cost().cost)
    assert found.metric_tags()

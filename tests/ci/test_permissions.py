"""The permissions: documents, examples and advice name those of one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ci_support.scene import Scene

from metta_checks.ci.advice import CLASSIC_SCOPE, all_names

ROOT = Path(__file__).parents[2]


def words(path: str) -> str:
    """A document's text without line breaks and comment signs."""
    return " ".join((ROOT / path).read_text(encoding="utf-8").replace("#", " ").split())


@pytest.mark.parametrize("path", ["metta_checks/ci/spec.yaml", "conf.d/metta_ci.d/conf.yaml.example"])
def test_the_options_name_all_of_them(path: str) -> None:
    text = words(path)

    # For the token and for the App.
    assert text.count(f"needs permission to read {all_names()} of the repository") == 2
    assert f"classic token needs the scope `{CLASSIC_SCOPE}`" in text


@pytest.mark.parametrize("lacking", ["pull_requests", "contents"])
def test_a_figure_without_its_permission_names_that_one(empty_scene: Callable[..., Scene], lacking: str) -> None:
    watched = empty_scene()
    watched.server.lacking = frozenset({lacking})
    needed = {"pull_requests": "Pull requests (read)", "contents": "Contents (read)"}[lacking]

    warnings = [text for text in watched.collect().warnings if "The permission" in text]

    assert warnings
    assert all(f"The permission {needed} of demo-org/arena is needed for" in text for text in warnings)

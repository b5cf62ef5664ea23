"""Options: from the instance, else from the environment, else the default."""

from __future__ import annotations

from typing import Any

import pytest

from metta_checks.core.environment import Variable, with_environment

VARIABLES = {"project": Variable("PROBE_PROJECT"), "labels": Variable("PROBE_LABELS", "list")}


@pytest.mark.parametrize(
    ("instance", "environment", "resolved"),
    [
        ({}, {}, {}),
        ({"project": "a"}, {}, {"project": "a"}),
        ({}, {"PROBE_PROJECT": "b"}, {"project": "b"}),
        ({"project": "a"}, {"PROBE_PROJECT": "b"}, {"project": "a"}),
        ({"project": None}, {"PROBE_PROJECT": "b"}, {"project": "b"}),
        ({"project": None}, {}, {}),
        ({"project": ""}, {"PROBE_PROJECT": "b"}, {"project": ""}),
        ({"labels": []}, {"PROBE_LABELS": "x"}, {"labels": []}),
        ({}, {"PROBE_PROJECT": "  "}, {}),
        ({}, {"PROBE_PROJECT": " b "}, {"project": "b"}),
        ({}, {"PROBE_LABELS": "x, y,,z ,"}, {"labels": ["x", "y", "z"]}),
        ({"other": 1}, {"PROBE_PROJECT": "b"}, {"other": 1, "project": "b"}),
    ],
)
def test_option_by_option(
    monkeypatch: pytest.MonkeyPatch, instance: dict[str, Any], environment: dict[str, str], resolved: dict[str, Any]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = dict(instance)
    assert with_environment(instance, VARIABLES) == resolved
    assert instance == given

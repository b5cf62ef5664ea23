"""Options: where the source comes from, what it may be, and who may name a local path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import datadog_agent as agent_stub

from metta_checks.checks import CHECKS
from metta_checks.health.check import HealthCheck
from metta_checks.training.check import TrainingCheck

Make = Callable[..., Any]

SUITES = [
    (definition.check_class(), definition.variables[0]) for definition in CHECKS if definition.records is not None
]


@pytest.mark.parametrize(("kind", "variable"), SUITES)
def test_the_source_comes_from_the_environment_when_the_instance_names_none(
    kind: type[HealthCheck], variable: str, write: Make, record: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(write([record()])))

    assert collect(None, kind=kind).data_missing == 0


def test_the_instance_goes_before_the_environment(
    write: Make, record: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINING_HEALTH_FILE", str(write([record(value=1)], "environment.json")))

    assert collect(write([record(value=2)])).hearts == [2]


@pytest.mark.parametrize(("kind", "variable"), SUITES)
@pytest.mark.parametrize("other", [variable for _, variable in SUITES])
def test_without_a_source_the_error_names_both_places(
    kind: type[HealthCheck], variable: str, other: str, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if other != variable:
        monkeypatch.setenv(other, "results.json")

    collected = collect(None, kind=kind)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, ConfigurationError)
    assert str(collected.error) == f"`source` is not set: give it in the instance or as {variable}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "ftp://host/results.json"}, "ftp:// is not supported"),
        ({"source": "file:///results.json"}, "file:// is not supported"),
        ({"source": "s3://bucket"}, "s3://bucket is no S3 address"),
        ({"source": "s3:///key"}, "s3:///key is no S3 address"),
        ({"source": "a\0b"}, "NUL"),
        ({"source": "https://"}, "the address is not a URL"),
        ({"source": "https://me:s3cret@host/results.json"}, "the address holds a user name"),
        ({"source": 7}, "source"),
        ({"max_age": "soon"}, "'soon' is not a duration"),
        ({"max_age": "0h"}, "out of range"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_records": 0}, "max_records"),
        ({"collection_timeout": 0}, "collection_timeout"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str, write: Make, make_check: Make, run: Make) -> None:
    check = TrainingCheck(name="metta_training", init_config={}, instances=[{"source": str(write([])), **options}])

    collected = run(check)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, ConfigurationError)
    assert message in str(collected.error)
    assert "s3cret" not in str(collected.error)


@pytest.mark.parametrize(
    ("provider", "setting", "trusted"),
    [
        ("", None, True),
        ("file", None, True),
        ("remote-config", None, True),
        ("kubernetes-container-allinone", None, False),
        ("kubernetes-services", None, False),
        ("container", None, False),
        ("cluster-checks", None, False),
        ("kubernetes-container-allinone", ["kubernetes-container-allinone"], True),
        ("remote-config", ["file"], False),
    ],
)
@pytest.mark.parametrize("shape", ["{file}", "{directory}", "{directory}/*.json"])
def test_a_local_path_needs_a_trusted_provider(
    provider: str,
    setting: list[str] | None,
    trusted: bool,
    shape: str,
    write: Make,
    record: Make,
    make_check: Make,
    run: Make,
) -> None:
    if setting is not None:
        agent_stub._config["integration_trusted_providers"] = setting
    path = write([record()])
    check = make_check(shape.format(file=path, directory=path.parent))
    check.provider = provider

    collected = run(check)
    agent_stub.reset()

    assert (collected.up, collected.hearts) == ((1, [0.91]) if trusted else (0, []))
    if not trusted:
        assert isinstance(collected.error, ConfigurationError)
        assert f"this configuration came from `{provider}`" in str(collected.error)


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\x0b", "\u00a0", "\ufeff", "\u200b"])
@pytest.mark.parametrize("address", ["s3://", "s3://bucket", "https://host", "HTTP://host"])
def test_a_blank_before_an_address_makes_no_path_of_it(
    blank: str, address: str, write: Make, record: Make, make_check: Make, run: Make
) -> None:
    """As a path it would lead anywhere: what follows `/..` counts even where what stands before does not exist."""
    check = make_check(f"{blank}{address}{'/..' * 20}{write([record()])}", collection_timeout=1)
    check.provider = "kubernetes-container-allinone"

    assert run(check).hearts == []


def test_an_untrusted_provider_may_name_s3_and_http(make_check: Make, run: Make) -> None:
    check = make_check("http://127.0.0.1:9/results.json")
    check.provider = "kubernetes-services"

    assert not isinstance(run(check).error, ConfigurationError)


def test_the_state_of_an_instance_belongs_to_its_source(write: Make, make_check: Make) -> None:
    one, same, other = (make_check(write([], name)) for name in ("one.json", "one.json", "other.json"))

    ids = [check.targets()[0].key for check in (one, same, other)]

    assert ids[0] == ids[1] != ids[2]


def test_a_relative_path_is_that_of_the_process(
    write: Make, record: Make, collect: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([record()])
    monkeypatch.chdir(tmp_path)

    assert collect("results.json").hearts == collect(f".{os.sep}*.json").hearts == [0.91]

"""What every test stands on: an environment without the machine's own settings, and a fresh Agent stub."""

from __future__ import annotations

import gc
import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from core_support.certificate import write_certificate
from datadog_checks.base.stubs import datadog_agent as agent_stub
from hypothesis import HealthCheck, settings

from metta_checks.core import clock
from metta_checks.core.transport import Transport

# A look at each property; `.ci/run` looks longer, with `--hypothesis-profile=thorough`.
# How fast a machine makes them is no property of ours.
BY_ITSELF = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=25, **BY_ITSELF)
settings.register_profile("thorough", max_examples=100, **BY_ITSELF)
settings.load_profile("quick")

# Bytecode is kept, as Python does by itself: a command in a process of its own does not compile the package anew, nor
# the next run of the tests each of their files.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

OWN_PREFIXES = ("AWS_", "DD_", "GITHUB_", "WANDB_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not walk it for each test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option, credential, proxy or netrc entry of the machine reaches a check."""
    for name in list(os.environ):
        if name.startswith(OWN_PREFIXES) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    # The checks submit `env` and `version` on purpose; the stub refuses generic tags unless it is told not to.
    monkeypatch.setenv("DDEV_SKIP_GENERIC_TAGS_CHECK", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture(scope="session")
def unused_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority that signs nothing."""
    return write_certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def one_authority(monkeypatch: pytest.MonkeyPatch, unused_authority: Path) -> None:
    """The machine trusts one authority instead of a hundred, which every check would load anew, for 30 ms each."""

    def load(context: ssl.SSLContext, purpose: Any = None) -> None:
        context.load_verify_locations(unused_authority)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)


@pytest.fixture(scope="session", autouse=True)
def shared_aws_models() -> Iterator[None]:
    """The AWS SDK parses its service descriptions, megabytes of JSON, once in a process and not for every client."""
    parsed: dict[str, Any] = {}
    load = Loader.load_data_with_path

    def load_once(loader: Loader, name: str) -> Any:
        if name not in parsed:
            parsed[name] = load(loader, name)
        return parsed[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "load_data_with_path", load_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_pause() -> Iterator[None]:
    """No waiting between attempts of a request, nor for the Agent's flush after a collection with distribution points.

    Tests of the pauses themselves choose their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "pause", lambda _: None)
        patch.setitem(Transport.__init__.__kwdefaults__, "pause", 0.001)
        yield


@pytest.fixture(autouse=True)
def fresh_agent() -> Iterator[None]:
    """Configuration, persistent cache and host name of the Agent stub start anew: it is one object for the process."""
    agent_stub.reset()
    yield
    agent_stub.reset()
    agent_stub.reset_hostname()

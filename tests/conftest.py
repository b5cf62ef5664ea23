"""What every test stands on: an environment without the machine's own settings, and a fresh Agent stub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from datadog_checks.base.stubs import datadog_agent as agent_stub

OWN_PREFIXES = ("AWS_", "DD_", "GITHUB_", "WANDB_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a single certificate authority: to load all of the machine's takes 40 ms for each check."""
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("authorities") / "one.pem"
    path.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    """No option, credential, proxy, netrc entry or certificate authority of the machine reaches a check."""
    for name in list(os.environ):
        if name.startswith(OWN_PREFIXES) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    # The checks submit `env` and `version` on purpose; the stub refuses generic tags unless it is told not to.
    monkeypatch.setenv("DDEV_SKIP_GENERIC_TAGS_CHECK", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection with distribution points ends at once: the wait is for the Agent, which flushes by the second."""
    monkeypatch.setattr("metta_checks.core.clock.pause", lambda _: None)


@pytest.fixture(autouse=True)
def fresh_agent() -> Iterator[None]:
    """Configuration, persistent cache and host name of the Agent stub start anew: it is one object for the process."""
    agent_stub.reset()
    yield
    agent_stub.reset()
    agent_stub.reset_hostname()

"""A source on loopback, a transport to it, and a small real check; the parts live in `support`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core_support.certificate import write_certificate
from core_support.probe.check import ProbeCheck
from core_support.servers import Source
from datadog_checks.base.utils.http import RequestsWrapper

from metta_checks.core.collection import Collection
from metta_checks.core.deadline import Deadline
from metta_checks.core.transport import Response, Transport

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Client:
    """One transport, and the collection that its latest request belonged to."""

    def __init__(self, options: dict[str, Any], max_bytes: int) -> None:
        self.http = RequestsWrapper(options, {})
        self.transport = Transport(self.http, "Probe", max_bytes=max_bytes, pause=0.001)
        self.collection = self.new_collection(10.0)

    def new_collection(self, seconds: float) -> Collection:
        self.collection = Collection(NOW, Deadline(seconds))
        return self.collection

    def get(self, url: str, *, method: str = "GET", seconds: float = 10.0, **options: Any) -> Response:
        """A collection of one request."""
        with self.transport.during(self.new_collection(seconds)):
            return self.transport.send(method, url, about="the probe", **options)


@pytest.fixture
def client(certificate: Path) -> Callable[..., Client]:
    """Makes transports; keywords are HTTP options. They trust our own certificate alone: reading all takes long."""

    def make(*, max_bytes: int = 1_000_000, **options: Any) -> Client:
        return Client({"tls_ca_cert": str(certificate), **options}, max_bytes)

    return make


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def probe(source: Source) -> Callable[..., ProbeCheck]:
    """A check of `source`; keywords are further options."""

    def make(init_config: dict[str, Any] | None = None, **options: Any) -> ProbeCheck:
        check = ProbeCheck("probe", init_config, [{"url": source.url, **options}])
        check.check_id = "probe:1"
        return check

    source.put("/samples", [])
    return make

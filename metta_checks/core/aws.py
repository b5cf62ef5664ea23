"""AWS clients whose requests end with a deadline, and whose answers are bounded in size.

The AWS client reads an answer to its end by itself, whatever its size, and its timeout is per read. What finds the AWS
credentials of the machine (STS, the endpoints of containers and instances) does the same, with sessions of its own. All
of them send through `_BoundedSession` here. Imported where it is needed: botocore takes a second and 30 MB to load.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, Final

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectionClosedError, ReadTimeoutError
from botocore.session import Session
from urllib3 import exceptions

from metta_checks.core.deadline import Deadline
from metta_checks.core.log_redaction import quieten_aws
from metta_checks.core.watchdog import Watchdog, watched_pools

MAX_BYTES: Final = 8 * 1024 * 1024
"""The largest answer that is read whole: a listing of 1,000 keys of the longest kind has half of that. The objects that
a caller streams have the caller's limit."""

_CHUNK: Final = 64 * 1024


class TimeUpError(BotoCoreError):  # type: ignore[misc]
    """The deadline came first. Unlike the other errors of a connection, the AWS client does not try it again."""

    fmt = "the time for AWS is up"


class OversizedError(BotoCoreError):  # type: ignore[misc]
    """An answer is larger than `MAX_BYTES`."""

    fmt = "AWS sent more than {limit:,} bytes"


class _Running(threading.local):
    """What bounds the requests of this thread."""

    watchdog: Watchdog | None = None
    deadline: Deadline | None = None


_running = _Running()
_POOLS = watched_pools(lambda: _running.watchdog, {"http": AWSHTTPConnectionPool, "https": AWSHTTPSConnectionPool})


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """Every AWS request of this thread in the block ends with `deadline`; outside of such a block there are none.

    By thread, since one that is stuck elsewhere must not share its deadline with the next collection of its client.
    """
    watchdog = Watchdog()
    _running.watchdog, _running.deadline = watchdog, deadline
    try:
        with watchdog.guard(deadline):
            yield
    finally:
        _running.watchdog = _running.deadline = None


def client(service: str, region: str | None, **settings: Any) -> Any:
    """A client for `service` with the machine's AWS credentials; `settings` are those of botocore's `Config`.

    To be used inside of `within`. Raises BotoCoreError, and ValueError for a region or an endpoint that is none.
    """
    quieten_aws()
    session = _Session()
    # The AWS SDK for Python knows AWS_DEFAULT_REGION; what EKS and ECS set is AWS_REGION.
    region = region or os.environ.get("AWS_REGION") or None
    return session.create_client(service, region_name=region, config=Config(**settings))


class _Session(Session):  # type: ignore[misc]
    """Its clients are bounded: also those with which it finds credentials itself."""

    def __init__(self) -> None:
        super().__init__()
        for provider in self.get_component("credential_provider").providers:
            for name in ("_fetcher", "_role_fetcher"):
                fetcher: Any = getattr(provider, name, None)
                if hasattr(fetcher, "_session"):
                    fetcher._session = _BoundedSession(fetcher._session)

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        made = super().create_client(*arguments, **options)
        made._endpoint.http_session = _BoundedSession(made._endpoint.http_session)
        return made


class _BoundedSession:
    """Stands in for botocore's `URLLib3Session`."""

    def __init__(self, session: Any) -> None:
        # The managers of pools share this table, those of proxies too.
        session._pool_classes_by_scheme.update(_POOLS)
        self._session = session

    def send(self, request: Any) -> Any:
        """The answer, read whole unless it is a good one to a request that wants to stream it. Raises BotoCoreError."""
        deadline = _running.deadline
        if deadline is None:
            raise RuntimeError("an AWS request was sent without a deadline")
        # After a "100 Continue" the AWS client looks for the end of the head for ever where the server hangs up.
        request.headers.pop("Expect", None)
        streams, request.stream_output = request.stream_output, True
        try:
            response = self._session.send(request)
            if not streams or response.status_code >= 300:
                response._content = _content(response.raw, request)
        except BotoCoreError:
            if deadline.expired:
                raise TimeUpError from None
            raise
        finally:
            request.stream_output = streams
        if deadline.expired:
            raise TimeUpError
        return response

    def close(self) -> None:
        self._session.close()


def _content(raw: Any, request: Any) -> bytes:
    content = bytearray()
    try:
        while part := raw.read(_CHUNK):
            content += part
            if len(content) > MAX_BYTES:
                raw.close()
                raise OversizedError(limit=MAX_BYTES)
    except exceptions.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except (exceptions.HTTPError, HTTPException, OSError) as error:
        raise ConnectionClosedError(endpoint_url=request.url, error=error, request=request) from None
    raw.release_conn()
    return bytes(content)

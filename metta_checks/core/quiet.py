"""Keeps the URLs of our requests out of the Agent's log: a query may be a credential, as that of a presigned URL is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_LOGGERS: Final = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")
"""Those of urllib3 that write down what is asked for; a filter holds for one logger, not for those below it."""

_quiet: ContextVar[bool] = ContextVar("metta_quiet", default=False)


@contextmanager
def without_urls_in_the_log() -> Iterator[None]:
    """Silences urllib3 for what this thread does in the block; other checks' requests are logged as ever."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _is_wanted(_: logging.LogRecord) -> bool:
    return not _quiet.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_wanted)

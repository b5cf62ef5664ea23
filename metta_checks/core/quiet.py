"""Keeps credentials out of the Agent's log, where the libraries below us would write them."""

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
    """Silences urllib3 for what this thread does in the block: the query of a presigned URL is a credential.

    Other checks' requests are logged as ever.
    """
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def quieten_aws() -> None:
    """Keeps the AWS client's debug lines from the log: they hold whole requests and answers, secrets and session tokens
    included."""
    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _is_wanted(_: logging.LogRecord) -> bool:
    return not _quiet.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_wanted)

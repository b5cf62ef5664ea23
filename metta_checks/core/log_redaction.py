"""Keeps credentials out of the Agent's log, where the libraries below us would write them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

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


def scrub_log(adapter: logging.LoggerAdapter[Any], printable: Callable[[str], str]) -> None:
    """Passes each message of a check's log through `printable`.

    The base class scrubs what handlers of the check's own logger write, and the Agent's only handler is that of the
    root logger.
    """
    plain = adapter.log

    def log(level: int, message: object, *arguments: object, **options: Any) -> None:
        if adapter.isEnabledFor(level):
            # Its own rules for arguments; and like a handler it must not raise.
            text = str(message)
            with suppress(TypeError, ValueError, KeyError):
                text = logging.LogRecord("", level, "", 0, message, arguments, None).getMessage()
            # One frame more lies between the caller and the logger, which notes the caller's line.
            plain(level, "%s", printable(text), **{"stacklevel": 2, **options})

    setattr(adapter, "log", log)  # noqa: B010 (a type checker refuses to replace a method)


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

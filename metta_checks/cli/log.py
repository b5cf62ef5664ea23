"""The check's log on standard error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from metta_checks.cli.terminal import echo
from metta_checks.core import MettaCheck


class _Echo(logging.Handler):
    """Only of the check's own logger: others, that of the AWS client among them, write secrets down at this level."""

    def __init__(self, check: MettaCheck) -> None:
        super().__init__()
        self._check = check

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()}: {self.format(record)}"
        echo(self._check.sanitize(line), err=True)


@contextmanager
def log_shown(check: MettaCheck) -> Iterator[None]:
    """Shows what `check` logs in the block, from debug level on, with its secrets blacked out."""
    logger, echo = check.log.logger, _Echo(check)
    level = logger.level
    logger.addHandler(echo)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(echo)

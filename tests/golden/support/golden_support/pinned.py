"""What a recording must not depend on, held fast: environment, time zone, host name, and pauses between tries."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from datadog_checks.base.stubs import aggregator, datadog_agent

HOSTNAME = "golden-agent"
FOREIGN = ("AWS_", "DD_", "GITHUB_", "WANDB_", "TRAINING_", "EVAL_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
FIXED = {
    "TZ": "UTC",
    "DDEV_SKIP_GENERIC_TAGS_CHECK": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NETRC": os.devnull,
}


@contextmanager
def pinned() -> Iterator[None]:
    """Inside, a play gives the same on every machine. The Agent's stubs are fresh, and fresh again afterwards."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and name.lower() not in PROXIES
    }
    disabled = logging.root.manager.disable
    with mock.patch.dict(os.environ, {**kept, **FIXED}, clear=True), mock.patch.object(time, "sleep", _no_pause):
        time.tzset()
        logging.disable(logging.CRITICAL)
        _fresh_stubs()
        datadog_agent.set_hostname(HOSTNAME)
        try:
            yield
        finally:
            logging.disable(disabled)
            _fresh_stubs()
            datadog_agent.reset_hostname()
    time.tzset()


def _fresh_stubs() -> None:
    aggregator.reset()
    datadog_agent.reset()


def _no_pause(_: float) -> None:
    """Tries follow each other at once."""

"""Loading the options of an instance: inside of the collection, so that a bad one shows as `up 0` like any failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from datadog_checks.base import AgentCheck

from metta_checks.core.agent_options import require_timeouts
from metta_checks.core.option_errors import OptionError

LONGEST_TIMEOUT: Final = 3600.0
"""Seconds that `collection_timeout` may be at most: a hanging check holds one of the Agent's few workers."""


class OptionsLoader:
    """Runs the initialisations that the base class would run before a collection, one by one, each until it succeeds.

    `validate` is what the check itself has to say of its options.
    """

    def __init__(self, check: AgentCheck, validate: Callable[[], None]) -> None:
        self._check = check
        self._validate = validate
        self._initializations: deque[Callable[[], None]] = deque()

    def set_aside(self) -> None:
        """Take over what the base class would run by itself."""
        self._initializations.extend(self._check.check_initializations)
        self._check.check_initializations.clear()

    def load(self) -> None:
        """Read and check the options. Raises ConfigurationError; once they are loaded, it only checks them again."""
        self.set_aside()
        while self._initializations:
            self._initializations[0]()
            self._initializations.popleft()
        self._validate()
        self.timeout()
        require_timeouts(self._check.instance, self._check.init_config)

    def timeout(self) -> float:
        """The seconds that a collection may take. Raises ConfigurationError."""
        seconds = float(self._check._config_model_instance.collection_timeout)
        if not 0 < seconds <= LONGEST_TIMEOUT:
            bounds = f"more than 0 and at most {LONGEST_TIMEOUT:g} seconds"
            raise OptionError("collection_timeout", f"is {seconds:g}: it must be {bounds}")
        return seconds

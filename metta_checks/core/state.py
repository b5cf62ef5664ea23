"""State that outlives the Agent's process: one versioned JSON document per check instance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from metta_checks.core.decode import parse_json
from metta_checks.core.errors import StateError

MAX_VALUES: Final = 5_000_000
"""Values of a state, far above those of a million runs: what a check wrote itself is not refused."""


class PersistentCache(Protocol):
    """The two methods of `AgentCheck` that reach the Agent's persistent cache. A missing value is `''`."""

    def read_persistent_cache(self, key: str) -> str: ...

    def write_persistent_cache(self, key: str, value: str) -> None: ...


class StateOrigin(StrEnum):
    """What became of the state that an earlier process left."""

    UNREAD = "not read yet"
    ABSENT = "none was there"
    RESTORED = "restored"
    LOST = "unusable"


class Store:
    """Loads and saves one document under `key`, marked with `version`. `origin` says what `load` found."""

    def __init__(self, cache: PersistentCache, key: str, version: int) -> None:
        self._cache = cache
        self._key = key
        self._version = version
        self.origin = StateOrigin.UNREAD

    def load(self) -> Any:
        """The document as it was saved; None when there is none, or what is there is torn, foreign or of another
        version: a fresh start, never an error. The caller still parses the inside."""
        text = self._read()
        envelope = self._envelope(text)
        if envelope is None:
            self.origin = StateOrigin.ABSENT if text == "" else StateOrigin.LOST
            return None
        self.origin = StateOrigin.RESTORED
        return envelope.get("state")

    def refuse(self) -> None:
        """The caller cannot use what `load` returned."""
        if self.origin is StateOrigin.RESTORED:
            self.origin = StateOrigin.LOST

    def save(self, state: Any) -> None:
        """Replace the document. `state` is plain JSON material.

        The Agent tells nobody when it cannot write. Raises StateError when a restart would find an older document: it
        would tell once more what was told since. Where it finds none, it begins anew, which repeats nothing.
        """
        text = json.dumps({"version": self._version, "state": state}, separators=(",", ":"))
        self._cache.write_persistent_cache(self._key, text)
        left = self._read()
        if left != text and self._envelope(left) is not None:
            raise StateError(
                "the Agent's persistent cache still has an older state after writing: check that its user may write "
                "the files below `run_path`, and that the disk has room."
            )

    def _read(self) -> str | None:
        """What is there, `''` when there is nothing; None for a file that the Agent cannot read or decode."""
        try:
            return self._cache.read_persistent_cache(self._key)
        except Exception:
            # RuntimeError for one of another user's, UnicodeDecodeError for rubbish: what comes is the Agent's affair.
            return None

    def _envelope(self, text: str | None) -> dict[str, Any] | None:
        try:
            envelope = parse_json(text or "null", allow_nan=True, max_values=MAX_VALUES)
        except ValueError:
            return None
        usable = isinstance(envelope, dict) and envelope.get("version") == self._version
        return envelope if usable else None


def identity_hash(check: str, identity: Mapping[str, str]) -> str:
    """A persistent-cache id: SHA-256 over the check's name and its named, resolved identity values.

    Names count as well as values, so that swapped values differ.
    """
    text = json.dumps([check, sorted(identity.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

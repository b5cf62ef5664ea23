"""State that outlives the Agent's process: one versioned JSON document per check instance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from metta_checks.core.decode import parse_json


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
        text = self._cache.read_persistent_cache(self._key)
        self.origin = StateOrigin.LOST if text else StateOrigin.ABSENT
        try:
            envelope = parse_json(text or "null", allow_nan=True)
        except ValueError:
            return None
        if not isinstance(envelope, dict) or envelope.get("version") != self._version:
            return None
        self.origin = StateOrigin.RESTORED
        return envelope.get("state")

    def refuse(self) -> None:
        """The caller cannot use what `load` returned."""
        if self.origin is StateOrigin.RESTORED:
            self.origin = StateOrigin.LOST

    def save(self, state: Any) -> None:
        """Replace the document. `state` is plain JSON material."""
        envelope = {"version": self._version, "state": state}
        self._cache.write_persistent_cache(self._key, json.dumps(envelope, separators=(",", ":")))


def identity_hash(check: str, identity: Mapping[str, str]) -> str:
    """A persistent-cache id: SHA-256 over the check's name and its named, resolved identity values.

    Names count as well as values, so that swapped values differ.
    """
    text = json.dumps([check, sorted(identity.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

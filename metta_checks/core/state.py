"""State: what a check knows of each target, and one versioned JSON document per target that outlives the process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from metta_checks.core.decode import parse_json
from metta_checks.core.errors import StateError
from metta_checks.core.target import Target

S = TypeVar("S")

MAX_VALUES: Final = 5_000_000
"""Values of a state, far above those of a million runs: what a check wrote itself is not refused."""


class PersistentCache(Protocol):
    """The two functions of the Agent that reach its persistent cache. A missing value is `''`."""

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

    def clear(self) -> None:
        """Leave an empty document, as far as the Agent can write: it has no way to delete one."""
        if self._read():
            self._cache.write_persistent_cache(self._key, "")

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


@dataclass(frozen=True, slots=True)
class StateFormat(Generic[S]):
    """How the state of a target becomes a document under `key`, and is read back.

    `encode` gets the state and the present moment, and returns plain JSON material. `decode` returns None for a
    document that is not its own. Another `version` is a fresh start.
    """

    key: str
    version: int
    encode: Callable[[S, datetime], Any]
    decode: Callable[[Any], S | None]


class TargetStates(Generic[S]):
    """What a check knows of its targets, in memory and, with a `format`, in the Agent's persistent cache.

    A target that nothing is known of has the state that `empty` makes. `author` is as for `new_store`.
    """

    def __init__(
        self,
        check: str,
        cache: PersistentCache,
        empty: Callable[[], S],
        format: StateFormat[S] | None = None,
        *,
        author: str = "",
    ) -> None:
        self._check = check
        self._author = author
        self._cache = cache
        self._empty = empty
        self._format = format
        self._states: dict[str, S] = {}
        self._stores: dict[str, tuple[Target, Store]] = {}

    def of(self, target: Target) -> S:
        """The state of a target. It must not be changed: a result brings the next one."""
        if target.key not in self._states:
            self._states[target.key] = self._restored(target) or self._empty()
        return self._states[target.key]

    def save(self, target: Target, state: S, now: datetime) -> None:
        """Keep `state` for the target. Raises StateError when a restart would find an older one; the state in memory
        is then the old one too."""
        if self._format is not None:
            self._store(target, self._format).save(self._format.encode(state, now))
        self._states[target.key] = state

    def retain(self, keys: Container[str]) -> None:
        """Forget the targets that are not among `keys`; what was saved of them stays for when they come back."""
        self._states = {key: state for key, state in self._states.items() if key in keys}
        self._stores = {key: store for key, store in self._stores.items() if key in keys}

    def forget(self, target: Target) -> None:
        """Forget a target, and what was saved of it: what comes back under its name later starts anew."""
        self._states.pop(target.key, None)
        if self._format is not None:
            self._store(target, self._format).clear()
            del self._stores[target.key]

    def origins(self) -> Iterator[tuple[Target, StateOrigin]]:
        """What became of the states that an earlier process left."""
        for target, store in self._stores.values():
            yield target, store.origin

    def _restored(self, target: Target) -> S | None:
        if self._format is None:
            return None
        store = self._store(target, self._format)
        state = self._format.decode(store.load())
        if state is None:
            store.refuse()
        return state

    def _store(self, target: Target, format: StateFormat[S]) -> Store:
        if target.key not in self._stores:
            store = new_store(self._check, self._cache, target.identity, format, author=self._author)
            self._stores[target.key] = target, store
        return self._stores[target.key][1]


def new_store(
    check: str, cache: PersistentCache, identity: Mapping[str, str], format: StateFormat[Any], *, author: str = ""
) -> Store:
    """The store of one document of what `identity` names.

    `author` is the provider of a configuration that the Agent's operator does not trust: what it leads the check to
    must not become what a trusted instance believes.
    """
    if author:
        identity = {**identity, "author": author}
    # The form that newer base classes give the key of a check with a cache id of its own.
    return Store(cache, f"{check}:{identity_hash(check, identity)}_{format.key}", format.version)


def identity_hash(check: str, identity: Mapping[str, str]) -> str:
    """A persistent-cache id: SHA-256 over the check's name and its named, resolved identity values.

    Names count as well as values, so that swapped values differ.
    """
    text = json.dumps([check, sorted(identity.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

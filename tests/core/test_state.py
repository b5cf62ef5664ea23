"""State: whatever the cache holds, a check starts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_checks.core.errors import StateError
from metta_checks.core.state import Store, identity_hash


class Cache:
    """What the Agent's cache promises: strings by key, `''` for what is not there."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def read_persistent_cache(self, key: str) -> str:
        return self.kept.get(key, "")

    def write_persistent_cache(self, key: str, value: str) -> None:
        self.kept[key] = value


class Mute(Cache):
    """One that cannot write, of which the Agent tells nobody."""

    def write_persistent_cache(self, key: str, value: str) -> None:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_it_comes_back_as_it_was_saved(state: Any) -> None:
    cache = Cache()
    Store(cache, "runs", 1).save(state)
    assert Store(cache, "runs", 1).load() == state
    assert "\0" not in cache.kept["runs"]


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param("", id="lost"),
        pytest.param('{"version":3,"state":[1', id="torn"),
        pytest.param('{"version":2,"state":[1]}', id="of an older version"),
        pytest.param('{"version":"3","state":[1]}', id="of another kind of version"),
        pytest.param('{"state":[1]}', id="without a version"),
        pytest.param('{"version":3}', id="without a state"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param("null", id="nothing"),
        pytest.param("2026-03-01T12:00:00Z", id="foreign"),
        pytest.param("\0\ud800", id="rubbish"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_cannot_be_used_is_a_fresh_start(kept: str) -> None:
    cache = Cache()
    cache.kept["runs"] = kept
    store = Store(cache, "runs", 3)
    assert store.load() is None
    store.save({"seen": 1})
    assert store.load() == {"seen": 1}


def test_it_is_compact_and_by_key() -> None:
    cache = Cache()
    Store(cache, "runs", 1).save({"a": [1, 2]})
    Store(cache, "other", 1).save(None)
    assert cache.kept["runs"] == '{"version":1,"state":{"a":[1,2]}}'
    assert Store(cache, "runs", 1).load() == {"a": [1, 2]}


def test_different_identities_have_different_ids() -> None:
    identities = [
        ("probe", {"entity": "a", "project": "b"}),
        ("probe", {"entity": "b", "project": "a"}),
        ("probe", {"entity": "a"}),
        ("probe", {"entity": "a", "project": ""}),
        ("probe", {"entity": 'a","project":"b'}),
        ("probe", {"entity": "\ud800"}),
        ("other", {"entity": "a", "project": "b"}),
    ]
    ids = {identity_hash(check, identity) for check, identity in identities}
    assert len(ids) == len(identities)
    assert all(len(cache_id) == 64 and cache_id.isalnum() for cache_id in ids)


def test_the_order_of_names_does_not_matter() -> None:
    pairs = [("entity", "a"), ("project", "b"), ("base_url", "c")]
    assert len({identity_hash("probe", dict(order)) for order in itertools.permutations(pairs)}) == 1


@pytest.mark.parametrize("error", [RuntimeError("failed to read data"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "")])
def test_what_cannot_be_read_is_a_fresh_start(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> str:
        raise error

    cache = Cache()
    store = Store(cache, "runs", 1)
    store.save([1])
    monkeypatch.setattr(cache, "read_persistent_cache", refuse)
    assert store.load() is None
    assert store.origin == "unusable"
    store.save([2])


@pytest.mark.parametrize("left", ["", "torn", '{"version":2,"state":[1]}'])
def test_a_write_that_fails_where_a_restart_begins_anew(left: str) -> None:
    cache = Mute()
    cache.kept["runs"] = left
    Store(cache, "runs", 1).save([2])


@pytest.mark.parametrize("left", ["", "torn", '{"version":2,"state":[1]}', '{"version":1,"state":[1]}'])
def test_what_is_cleared_is_a_fresh_start(left: str) -> None:
    cache = Cache()
    cache.kept["runs"] = left
    store = Store(cache, "runs", 1)
    store.clear()
    assert store.load() is None
    assert store.origin == "none was there"
    store.save([2])
    assert store.load() == [2]


def test_a_write_that_fails_where_an_older_state_is_left() -> None:
    cache = Mute()
    cache.kept["runs"] = '{"version":1,"state":[1]}'
    store = Store(cache, "runs", 1)
    store.save([1])
    with pytest.raises(StateError, match="still has an older state after writing.*`run_path`"):
        store.save([2])

"""The text in the persistent cache: it gives back what was put in, and nothing else passes for it."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_support.github_changes import RandomChanges

from metta_checks.ci.ledger import Ledger
from metta_checks.ci.state_codec import from_text, to_text


def unpacked(text: str) -> dict:
    return json.loads(zlib.decompress(base64.b85decode(text)))


def packed(document: object) -> str:
    return base64.b85encode(zlib.compress(json.dumps(document).encode())).decode()


def test_what_was_put_in_comes_out(scene):
    watched = scene(28, 150)
    activity = RandomChanges(watched.repository)
    for _ in range(5):
        watched.collect()
        watched.later(timedelta(hours=3))
        activity.catch_up()
        activity.delete()
    ledger = watched.ledger
    assert any(known.gone for known in ledger.runs.values())

    assert from_text(to_text(ledger)) == ledger


def test_an_empty_ledger_too():
    assert from_text(to_text(Ledger())) == Ledger()


@given(st.one_of(st.none(), st.text(), st.integers(), st.binary().map(lambda data: base64.b85encode(data).decode())))
def test_anything_else_is_none(text):
    assert from_text(text) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_so_is_any_document_in_the_right_wrapping(document):
    assert from_text(packed(document)) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("runs"),
        lambda document: document["runs"]["id"].pop(),
        lambda document: document["runs"].update(created_at=["yesterday"] * len(document["runs"]["id"])),
        lambda document: document["rest"]["workflows"].update(by_id={"1": {"id": 1}}),
        lambda document: document["rest"].update(verdicts={"ci.workflow.success": "pass"}),
    ],
    ids=["a part is missing", "a column is short", "a time is none", "a workflow is half", "a verdict is text"],
)
def test_so_is_one_with_damage_inside(scene, damage):
    watched = scene()
    watched.collect()
    document = unpacked(to_text(watched.ledger))
    damage(document)

    assert from_text(packed(document)) is None

"""Every field of every answer with every value that it must not have: told or tolerated, and gone with the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hostile_support import fields
from hostile_support.playing import assert_nothing_partial, figures_without_a_fault
from hostile_support.stages import Kind

from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile

ROWS: list[tuple[Kind, fields.Nodes, str]] = [
    *(("wandb", fields.wandb_nodes, field) for field in fields.RUN_FIELDS),
    *(("wandb", fields.wandb_pages, field) for field in ("endCursor", "hasNextPage")),
    *(("github", fields.workflow_runs, field) for field in fields.WORKFLOW_RUN_FIELDS),
    *(("github", fields.run_pages, field) for field in ("total_count", "workflow_runs")),
    *(("github", fields.workflows, field) for field in fields.WORKFLOW_FIELDS),
    *(
        ("github", fields.graphql_data, field)
        for field in ("label0", "labelList", "state0", "pulse0", "close0", "history0")
    ),
    *(("http", fields.records, field) for field in fields.RECORD_FIELDS),
]


@pytest.mark.parametrize(("kind", "nodes", "field"), ROWS, ids=[f"{kind}-{field}" for kind, _, field in ROWS])
def test_a_field(play: Callable[..., Any], kind: Kind, nodes: fields.Nodes, field: str) -> None:
    """A value is refused with a message that a person can act on, or counted as left out, or good enough: never a
    figure that is none, never an exception that nobody foresaw, never a trace in the next collection."""
    control = figures_without_a_fault(play, kind, warm=False)
    with play(kind) as it:
        for name, fault in fields.spoilt(nodes, field):
            it.gate.stand(fault)
            outcome = it.suffer(30.0)
            if outcome.error is None:
                # A reading that is not complete says so.
                assert outcome.up == 1 or outcome.warnings, name
                it.forget()
            else:
                assert isinstance(outcome.error, SourceError), (name, repr(outcome.error))
                assert len(outcome.error.remedy) > 20, name
                assert_nothing_partial(outcome, kind)
        assert it.recover().figures(it.gate.url) == control

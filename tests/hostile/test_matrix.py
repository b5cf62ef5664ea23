"""Every fault at every source: the collection ends, nothing partial leaves, the operator is told, and it passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hostile_support.faults import BODIES, CONNECTIONS, STATUSES, Fault
from hostile_support.outcome import Outcome
from hostile_support.playing import assert_nothing_partial, figures_without_a_fault
from hostile_support.stages import Kind

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

NETWORKED: tuple[Kind, ...] = ("wandb", "github", "http", "s3")

LABELS = [f"metta.infra.cron.github.{name}.count" for name in ("hotfix", "force_merge", "reverts")]

OF_EXISTING_WORKFLOWS = [
    f"metta.infra.cron.ci.workflow.{name}" for name in ("other_failing", "latest_success", "latest_age_hours", "runs")
]

pytestmark = pytest.mark.hostile


def assert_told(outcome: Outcome, fault: Fault, kind: Kind) -> None:
    """One line that names the fault, and what to do about it."""
    error = outcome.error
    assert isinstance(error, SourceError), repr(error)
    assert "\n" not in outcome.message
    assert len(error.remedy) > 20
    assert error.remedy in str(error)
    if kind == "s3":
        # Its client tries again by itself, and may not come to an end within this time.
        assert error.kind in {*fault.aws, Called.TIMED_OUT}, str(error)
        assert "s3://results/eval.json" in str(error)
    else:
        assert error.kind is fault.kind, str(error)
        assert re.search(fault.says, str(error)), str(error)


def rows(faults: Mapping[str, Fault]) -> list[Any]:
    """Every fault at every source: in a first request, in a later one, and before there was a good collection."""
    table = []
    for name, fault in faults.items():
        for kind in NETWORKED:
            moments = ["warm"] if fault.hangs else ["warm", "cold"]
            if name.startswith("304") and kind in {"http", "s3"}:
                # There a warm request has a condition, and this is the good answer.
                moments.remove("warm")
            if kind in {"wandb", "github"}:
                moments.append("late")
            if name.startswith("304") and kind == "github":
                # There it is the good answer to every page that is known, and only the question about labels has none.
                moments = ["cold"]
            table += [pytest.param(kind, moment, fault, id=f"{kind}-{moment}-{name}") for moment in moments]
    return table


def befall(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    control = figures_without_a_fault(play, kind, warm=moment != "cold")
    with play(kind) as it:
        if moment != "cold":
            it.begin()
        it.gate.stand(fault.behave, spared=1 if moment == "late" else 0)
        outcome = it.suffer()
        if kind == "github" and moment == "late" and outcome.error is None:
            # Behind the first page are parts, each of which fails alone; what the others decide may be an event.
            assert any(re.search(fault.says, warning) for warning in outcome.warnings), outcome.warnings
            assert it.recover().figures(it.gate.url)[0] == control[0]
            return
        assert_told(outcome, fault, kind)
        assert_nothing_partial(outcome, kind)
        assert it.recover().figures(it.gate.url) == control


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(CONNECTIONS))
def test_a_connection_that_fails(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(STATUSES))
def test_an_answer_that_refuses(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)


@pytest.mark.parametrize("spared", [0, 1])
def test_304_to_every_request_costs_github_what_graphql_alone_answers(play: Callable[..., Any], spared: int) -> None:
    good, _, _ = figures_without_a_fault(play, "github", warm=True)
    with play("github") as it:
        it.begin()
        it.gate.stand(STATUSES["304 to what was no condition"].behave, spared=spared)
        outcome = it.suffer()
        assert outcome.error is None
        assert any("HTTP 304" in warning for warning in outcome.warnings), outcome.warnings
        # What stands from before may be on the other side of its limit, which a tag says.
        there = {without_status(key) for key in outcome.gauges}
        lost = {key[0] for key in good if without_status(key) not in there}
        assert lost <= {*LABELS, *OF_EXISTING_WORKFLOWS, "metta.infra.health.status", "metta.infra.health.value"}
        assert lost & set(LABELS)


def without_status(key: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    name, tags = key
    return name, tuple(tag for tag in tags if not tag.startswith("status:"))


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(BODIES))
def test_an_answer_that_cannot_be_used(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)

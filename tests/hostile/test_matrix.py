"""Every fault at every source: the collection ends, nothing partial leaves, the operator is told, and it passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent
from hostile_support.faults import BODIES, CONNECTIONS, STATUSES, Fault
from hostile_support.gate import Gate
from hostile_support.outcome import Outcome, assert_fit_for_datadog, assert_no_secret, collect
from hostile_support.stages import AWS_SECRET, AWS_SESSION, BEGIN, FAULTY, THEN, Kind, Stage, set_timeout

from metta_checks.core import MettaCheck, SourceError

LIMIT, MARGIN = 1.0, 2.0

NETWORKED: tuple[Kind, ...] = ("wandb", "github", "http", "s3")

pytestmark = pytest.mark.hostile


class Play:
    """A check and its source from the good collection before a fault to the one after it."""

    def __init__(self, stage: Stage, gate: Gate) -> None:
        self.stage = stage
        self.gate = gate
        self.check: MettaCheck = stage.check(gate.url)

    def begin(self) -> None:
        """The good collection before: the fault finds a check that remembers something."""
        self.gate.upstream = self.stage.before
        outcome = self._collect(BEGIN)
        assert outcome.error is None, outcome.message

    def suffer(self) -> Outcome:
        """The collection that the fault befalls."""
        self.gate.upstream = self.stage.before
        set_timeout(self.check, LIMIT)
        outcome = self._collect(FAULTY)
        self.gate.stand(None)
        set_timeout(self.check, 60.0)
        assert outcome.seconds < LIMIT + MARGIN
        assert_no_secret(outcome, self.stage.secrets)
        assert_fit_for_datadog(outcome)
        return outcome

    def recover(self) -> Outcome:
        """The good collection after it."""
        self.gate.upstream = self.stage.after
        outcome = self._collect(THEN)
        assert outcome.error is None, outcome.message
        assert_no_secret(outcome, self.stage.secrets)
        assert_fit_for_datadog(outcome)
        return outcome

    def _collect(self, now: Any) -> Outcome:
        self.check.clock = lambda: now
        return collect(self.check)


@pytest.fixture
def play(
    all_stages: Mapping[Kind, Stage], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Sets the stage of this kind: `with play("wandb") as it`."""

    @contextmanager
    def set_up(kind: Kind) -> Iterator[Play]:
        stage = all_stages[kind]
        with Gate(stage.before) as gate:
            aws(monkeypatch, gate.url)
            yield Play(stage, gate)

    return set_up


def aws(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The world of the AWS client: `url` is S3."""
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_SESSION_TOKEN": AWS_SESSION,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


expected: dict[tuple[Kind, bool], Any] = {}


def figures_without_a_fault(play: Callable[..., Any], kind: Kind, *, warm: bool) -> Any:
    """What a check gives for the world after, that saw the one before (or not) and no fault."""
    if (kind, warm) not in expected:
        with play(kind) as control:
            if warm:
                control.begin()
            expected[kind, warm] = control.recover().figures(control.gate.url)
        datadog_agent.reset()
    return expected[kind, warm]


def assert_nothing_partial(outcome: Outcome, kind: Kind) -> None:
    """Of a failed collection: telemetry, and what says that nothing is known."""
    assert outcome.up == 0
    assert (list(outcome.points), list(outcome.events)) == ([], [])
    gauges = {name: {value for (metric, _), value in outcome.gauges.items() if metric == name} for name, _ in outcome.gauges}
    if kind == "wandb":
        assert gauges == {}
    elif kind == "github":
        assert gauges.keys() == {"metta.infra.health.state", "metta.infra.health.target"}
        assert gauges["metta.infra.health.state"] == {1.0}
    else:
        assert gauges == {"metta.infra.health.data_missing": {1.0}}


def assert_told(outcome: Outcome, fault: Fault, kind: Kind) -> None:
    """One line that names the fault, and what to do about it."""
    error = outcome.error
    assert isinstance(error, SourceError), repr(error)
    assert "\n" not in outcome.message
    assert len(error.remedy) > 20
    assert error.remedy in str(error)
    kinds = fault.aws if kind == "s3" and fault.aws is not None else (fault.kind,)
    assert error.kind in kinds, str(error)
    if kind != "s3" or fault.aws is None:
        assert re.search(fault.says, str(error)), str(error)
    else:
        assert "s3://results/eval.json" in str(error)


def rows(faults: Mapping[str, Fault]) -> list[Any]:
    """Every fault at every source: in a first request, in a later one, and before there was a good collection."""
    table = []
    for name, fault in faults.items():
        for kind in NETWORKED:
            moments = ["warm"] if fault.hangs else ["warm", "cold"]
            if kind in {"wandb", "github"}:
                moments.append("late")
            table += [pytest.param(kind, moment, fault, id=f"{kind}-{moment}-{name}") for moment in moments]
    return table


def befall(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    control = figures_without_a_fault(play, kind, warm=moment != "cold")
    with play(kind) as it:
        if moment != "cold":
            it.begin()
        it.gate.stand(fault.behave, spared=1 if moment == "late" else 0)
        outcome = it.suffer()
        assert_told(outcome, fault, kind)
        assert_nothing_partial(outcome, kind)
        assert it.recover().figures(it.gate.url) == control


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(CONNECTIONS))
def test_a_connection_that_fails(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(STATUSES))
def test_an_answer_that_refuses(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)


@pytest.mark.parametrize(("kind", "moment", "fault"), rows(BODIES))
def test_an_answer_that_cannot_be_used(play: Callable[..., Any], kind: Kind, moment: str, fault: Fault) -> None:
    befall(play, kind, moment, fault)

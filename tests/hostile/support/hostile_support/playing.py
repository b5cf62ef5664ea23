"""One case: a check, its source and a fault between them, and what has to hold of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent
from hostile_support.gate import Gate
from hostile_support.outcome import Outcome, assert_fit_for_datadog, assert_no_secret, collect
from hostile_support.stages import AWS_SECRET, AWS_SESSION, BEGIN, FAULTY, PATIENT, THEN, Kind, Stage, set_timeout

from metta_checks.core import MettaCheck

LIMIT, MARGIN = 1.0, 2.0


class Play:
    """A check and its source from the good collection before a fault to the one after it."""

    def __init__(self, stage: Stage, gate: Gate) -> None:
        self.stage = stage
        self.gate = gate
        self.check: MettaCheck = stage.check(gate.url)

    def begin(self) -> None:
        """The good collection before: the fault finds a check that remembers something."""
        self.gate.upstream = self.stage.before
        outcome = self.at(BEGIN)
        assert outcome.error is None, outcome.message

    def suffer(self, seconds: float = LIMIT) -> Outcome:
        """The collection that the fault befalls, which has so many seconds."""
        self.gate.upstream = self.stage.during or self.stage.before
        set_timeout(self.check, seconds)
        outcome = self.at(FAULTY)
        self.gate.stand(None)
        set_timeout(self.check, PATIENT)
        assert outcome.seconds < seconds + MARGIN
        assert_no_secret(outcome, self.stage.secrets)
        assert_fit_for_datadog(outcome)
        return outcome

    def forget(self) -> None:
        """A restart without state: what the fault taught, where it was believed, shall not count."""
        datadog_agent.reset()
        self.check = self.stage.check(self.gate.url)

    def recover(self) -> Outcome:
        """The good collection after it."""
        self.gate.upstream = self.stage.after
        outcome = self.at(THEN)
        assert outcome.error is None, outcome.message
        assert_no_secret(outcome, self.stage.secrets)
        assert_fit_for_datadog(outcome)
        return outcome

    def at(self, now: datetime) -> Outcome:
        """A collection of the world as it is, by a check whose clock says `now`."""
        self.check.clock = lambda: now
        return collect(self.check)


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
    gauges = {
        name: {value for (metric, _), value in outcome.gauges.items() if metric == name} for name, _ in outcome.gauges
    }
    if kind == "wandb":
        assert gauges == {}
    elif kind == "github":
        assert gauges.keys() == {"metta.infra.health.state", "metta.infra.health.target"}
        assert gauges["metta.infra.health.state"] == {1.0}
    else:
        assert gauges.pop("metta.infra.health.data_missing") == {1.0}
        # Once something was known, it is unknown now.
        assert gauges.keys() <= {"metta.infra.health.state", "metta.infra.health.target"}
        assert gauges.get("metta.infra.health.state", {1.0}) == {1.0}

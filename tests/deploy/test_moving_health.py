"""What `deploy/growth.md` says of a health check that the Cluster Agent moves to another runner."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from deploy_support.runners import Runner

from metta_checks.checks import find_check
from metta_checks.core import MettaCheck
from metta_checks.simulator.health import write_sample_records

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("slug", ["training", "eval"])
def test_nothing_is_lost(slug: str, aggregator: AggregatorStub, tmp_path: Path) -> None:
    """It remembers nothing but what it can read again."""
    records = write_sample_records(tmp_path, NOW)

    def new_check() -> MettaCheck:
        entry = find_check(slug)
        check = entry.check_class()(entry.name, {}, [{"source": str(records[slug])}])
        check.clock = lambda: NOW
        return check

    a, b = Runner("a", aggregator), Runner("b", aggregator)
    a.take(new_check())
    expected = a.collect().figures("metta.infra.")
    assert expected
    assert b.take(new_check()).figures("metta.infra.") == expected

"""Merged pull requests with certain labels: the searches that count them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from metta_checks.ci.client import GitHub
from metta_checks.ci.wire import search_count


def label_searches(repo: str, labels: Mapping[str, Sequence[str]], since: datetime) -> dict[str, str]:
    """The issue search of each metric, of those that have labels.

    The comma means "or", so that a pull request with two of the labels counts once. The time has seconds: a date
    alone would reach back to midnight.
    """
    after = (since + timedelta(microseconds=999_999)).astimezone(UTC).replace(microsecond=0)
    merged = f"{after:%Y-%m-%dT%H:%M:%SZ}"
    return {
        metric: f"repo:{repo} is:pr is:merged merged:>={merged} label:{','.join(map(_quoted, names))}"
        for metric, names in labels.items()
        if names
    }


def count_by_rest(github: GitHub, searches: Mapping[str, str]) -> dict[str, int]:
    """The counts without GraphQL, which answers nobody without a token: one request each. Raises SourceError."""
    return {
        metric: search_count(
            github.get("/search/issues", about=f"the labels of {metric}", params={"q": query, "per_page": "1"})
        )
        for metric, query in searches.items()
    }


def _quoted(label: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", label) + '"'

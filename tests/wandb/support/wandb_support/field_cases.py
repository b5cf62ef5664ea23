"""What the tests of inputs from public reports share."""

from __future__ import annotations

import pytest


def not_yet(reason: str) -> pytest.MarkDecorator:
    """Marks what is not right yet: it has to fail, and on an assertion."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)

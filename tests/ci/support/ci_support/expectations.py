"""Cases whose right value is known and not reached yet."""

from __future__ import annotations

import pytest


def not_yet(reason: str) -> pytest.MarkDecorator:
    """Expected to fail by an assertion; a test that passes, or fails otherwise, is an error."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)

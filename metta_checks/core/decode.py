"""JSON from foreign hands, read with bounds."""

from __future__ import annotations

from typing import Any

import pydantic_core


def parse_json(data: bytes | str, *, allow_nan: bool = False) -> Any:
    """The value of a JSON document.

    Raises ValueError for anything that is not JSON, for nesting deeper than pydantic-core's bound (some 200 levels;
    the standard library ends in RecursionError instead), and for NaN or Infinity unless `allow_nan`.
    """
    return pydantic_core.from_json(data, allow_inf_nan=allow_nan, cache_strings="keys")

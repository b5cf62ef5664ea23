"""The options of the probe check, as the generator would write them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class SharedConfig(BaseModel):
    model_config = ConfigDict(frozen=True)

    service: str | None = None


class InstanceConfig(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: str
    paths: tuple[str, ...] = ("/samples",)
    collection_timeout: float = 10.0
    max_response_bytes: int = 1_000_000
    tags: tuple[str, ...] | None = None
    # Not in every model of the checks, but in one or the other.
    each: bool = False
    min_collection_interval: Any = None
    empty_default_hostname: Any = None
    service: Any = None
    series_budget: Any = None
    timeout: Any = None
    proxy: Any = None

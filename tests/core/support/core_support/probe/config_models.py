"""The options of the probe check, as the generator would write them."""

from __future__ import annotations

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

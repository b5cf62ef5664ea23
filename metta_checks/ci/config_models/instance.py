# Generated from spec.yaml by .ci/generate; do not edit.

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Optional, Union

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Literal

from datadog_checks.base.utils.functions import identity
from datadog_checks.base.utils.models import validation

from . import defaults, validators


class AuthToken(BaseModel):
    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        frozen=True,
    )
    reader: Optional[MappingProxyType[str, Any]] = None
    writer: Optional[MappingProxyType[str, Any]] = None


class MetricPatterns(BaseModel):
    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        frozen=True,
    )
    exclude: Optional[tuple[str, ...]] = None
    include: Optional[tuple[str, ...]] = None


class Proxy(BaseModel):
    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        frozen=True,
    )
    http: Optional[str] = None
    https: Optional[str] = None
    no_proxy: Optional[tuple[str, ...]] = None


class Repos(BaseModel):
    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        frozen=True,
    )
    exclude: Optional[tuple[str, ...]] = None
    include: tuple[str, ...]
    interval: Optional[float] = Field(None, ge=60.0)
    limit: Optional[int] = Field(None, ge=1, le=1000)


class InstanceConfig(BaseModel):
    model_config = ConfigDict(
        validate_default=True,
        arbitrary_types_allowed=True,
        frozen=True,
    )
    allow_redirects: bool = None
    api_url: Optional[str] = Field(None, min_length=1)
    app_id: Optional[Union[int, str]] = None
    app_installation_id: Optional[Union[int, str]] = None
    app_private_key: Optional[str] = Field(None, min_length=1)
    app_private_key_secret: str = Field(None, min_length=1)
    auth_token: Optional[AuthToken] = None
    auth_type: str = None
    aws_host: Optional[str] = None
    aws_region: Optional[str] = Field(None, min_length=1)
    aws_service: Optional[str] = None
    benchmarks_workflows: tuple[str, ...] = None
    branch: Optional[str] = Field(None, min_length=1)
    collection_timeout: float = Field(None, gt=0.0, le=3600.0)
    conditions: Optional[MappingProxyType[str, str]] = None
    connect_timeout: Optional[float] = None
    disable_generic_tags: bool = None
    distributions: bool = None
    empty_default_hostname: bool = None
    enable_legacy_tags_normalization: bool = None
    events: bool = None
    exclude_workflows: tuple[str, ...] = None
    extra_headers: Optional[MappingProxyType[str, Any]] = None
    force_merge_labels: tuple[str, ...] = None
    headers: Optional[MappingProxyType[str, Any]] = None
    hotfix_labels: tuple[str, ...] = None
    jobs: bool = None
    kerberos_auth: Literal['required', 'optional', 'disabled'] = None
    kerberos_cache: Optional[str] = None
    kerberos_delegate: bool = None
    kerberos_force_initiate: bool = None
    kerberos_hostname: Optional[str] = None
    kerberos_keytab: Optional[str] = None
    kerberos_principal: Optional[str] = None
    label_window: str = None
    log_requests: bool = None
    max_age: Optional[str] = Field(None, min_length=1)
    max_job_requests: int = Field(None, ge=1)
    max_pages: int = Field(None, ge=1)
    max_response_bytes: int = Field(None, ge=1024, le=134217728)
    metric_patterns: Optional[MetricPatterns] = None
    min_collection_interval: int = Field(None, ge=1)
    ntlm_domain: Optional[str] = None
    organization: Optional[str] = Field(None, min_length=1)
    password: Optional[str] = None
    persist_connections: bool = None
    proxy: Optional[Proxy] = None
    queue: bool = None
    read_timeout: Optional[float] = None
    repo: Optional[str] = Field(None, min_length=1)
    repos: Optional[Repos] = None
    request_size: float = None
    revert_labels: tuple[str, ...] = None
    series_budget: Optional[int] = Field(None, ge=1)
    service: Optional[str] = None
    skip_proxy: bool = None
    tags: Optional[tuple[str, ...]] = None
    tests_blocking_merge_workflows: tuple[str, ...] = None
    timeout: float = None
    tls_ca_cert: Optional[str] = None
    tls_cert: Optional[str] = None
    tls_ciphers: Optional[tuple[str, ...]] = None
    tls_ignore_warning: bool = None
    tls_private_key: Optional[str] = None
    tls_protocols_allowed: Optional[tuple[str, ...]] = None
    tls_use_host_header: bool = None
    tls_verify: bool = None
    token: Optional[str] = Field(None, min_length=1)
    token_secret: str = Field(None, min_length=1)
    use_legacy_auth_encoding: bool = None
    username: Optional[str] = None
    window: str = None

    @model_validator(mode='before')
    def _initial_validation(cls, values):
        return validation.core.initialize_config(getattr(validators, 'initialize_instance', identity)(values))

    @field_validator('*', mode='before')
    def _validate(cls, value, info):
        field = cls.model_fields[info.field_name]
        field_name = field.alias or info.field_name
        if field_name in info.context['configured_fields']:
            value = getattr(validators, f'instance_{info.field_name}', identity)(value, field=field)
        else:
            value = getattr(defaults, f'instance_{info.field_name}', lambda: value)()

        return validation.utils.make_immutable(value)

    @model_validator(mode='after')
    def _final_validation(cls, model):
        return validation.core.check_model(getattr(validators, 'check_instance', identity)(model))

"""The options of an instance, resolved into what the code works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from datadog_checks.base import ConfigurationError

from metta_checks.core import tag
from metta_checks.core.address import plain_address
from metta_checks.core.credentials import CredentialPlaces, Target
from metta_checks.core.duration import parse_duration
from metta_checks.core.environment import Variable
from metta_checks.core.trust import Provenance
from metta_checks.wandb.blobs import Wanted
from metta_checks.wandb.client import USER, ProjectPath
from metta_checks.wandb.config_models.defaults import instance_api_key_secret
from metta_checks.wandb.metrics import MetricOptions
from metta_checks.wandb.run_types import RunTypes

VARIABLES: Final[Mapping[str, Variable]] = {
    "entity": Variable("WANDB_ENTITY"),
    "project": Variable("WANDB_PROJECT"),
    "base_url": Variable("WANDB_BASE_URL"),
}

DEFAULT_BASE_URL: Final = "https://api.wandb.ai"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an instance asks for. Durations are parsed, patterns compiled, names resolved."""

    project: ProjectPath
    wanted: Wanted
    run_tags: tuple[str, ...]
    metric_options: MetricOptions
    timeframe: timedelta
    completed_runs: timedelta
    full_refresh: timedelta
    max_runs: int
    page_size: int
    max_pages: int
    distributions: bool
    events: bool


def settings_of(options: Any) -> Settings:
    """The settings behind the validated `options` (the generated instance model).

    Raises ConfigurationError, naming the option, for what the model cannot see.
    """
    project = ProjectPath(
        entity=_required(options, "entity"),
        name=_required(options, "project"),
        base_url=_checked("base_url", plain_address, options.base_url or DEFAULT_BASE_URL),
    )
    return Settings(
        project=project,
        wanted=Wanted(options.metrics, options.sps_keys, options.system_metrics),
        run_tags=tuple(dict.fromkeys(options.run_tags)),
        metric_options=MetricOptions(
            run_types=_checked("run_types", RunTypes, [(entry.name, entry.pattern) for entry in options.run_types]),
            timeframe=options.timeframe.strip(),
            identity=identity_tags(project),
        ),
        timeframe=_checked("timeframe", parse_duration, options.timeframe),
        completed_runs=_checked("completed_runs", parse_duration, options.completed_runs),
        full_refresh=_checked("full_refresh", parse_duration, options.full_refresh),
        max_runs=options.max_runs,
        page_size=options.page_size,
        max_pages=options.max_pages,
        distributions=options.distributions,
        events=options.events,
    )


def places_of(options: Any, provenance: Provenance, target: Target) -> CredentialPlaces:
    """Where the API key is looked for, and where it goes."""
    return CredentialPlaces(
        what="W&B API key",
        option="api_key",
        given=options.api_key,
        variables=("WANDB_API_KEY",),
        secret=instance_api_key_secret(),
        region=options.aws_region,
        basic_user=USER,
        secret_option="api_key_secret",  # noqa: S106 (the name of an option)
        named_secret=provenance.trusted("api_key_secret"),
        target=target,
    )


def identity_tags(project: ProjectPath) -> tuple[str, ...]:
    """The tags that say which project a series is of."""
    return (tag("wandb_entity", project.entity), tag("wandb_project", project.name))


def _required(options: Any, option: str) -> str:
    value: str | None = getattr(options, option)
    if value and value.strip():
        return value.strip()
    raise ConfigurationError(f"`{option}` is not set: give it in the instance or as {VARIABLES[option].name}")


def _checked(option: str, parse: Callable[[Any], T], value: Any) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise ConfigurationError(f"`{option}`: {error}") from None

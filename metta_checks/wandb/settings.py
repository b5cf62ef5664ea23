"""The options of an instance, resolved into what the code works with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from datadog_checks.base import ConfigurationError

from metta_checks.core import tag
from metta_checks.core.address import plain_address
from metta_checks.core.credentials import CredentialHost, CredentialPlaces
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
    "project": Variable("WANDB_PROJECT", unless="projects"),
    "base_url": Variable("WANDB_BASE_URL"),
}

DEFAULT_BASE_URL: Final = "https://api.wandb.ai"

LITERAL_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
"""A name of a W&B project."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an instance asks for. Durations are parsed, patterns compiled, names resolved."""

    entity: str
    projects: tuple[ProjectPath, ...]
    wanted: Wanted
    run_tags: tuple[str, ...]
    run_types: RunTypes
    timeframe_tag: str
    timeframe: timedelta
    completed_runs: timedelta
    full_refresh: timedelta
    max_runs: int
    page_size: int
    max_pages: int
    distributions: bool
    events: bool

    @property
    def max_runs_each(self) -> int:
        """A project's share of `max_runs`."""
        return self.max_runs // len(self.projects)

    def metric_options(self, project: ProjectPath) -> MetricOptions:
        """What the metrics of a project need to know."""
        return MetricOptions(self.run_types, self.timeframe_tag, identity_tags(project))


def settings_of(options: Any) -> Settings:
    """The settings behind the validated `options` (the generated instance model).

    Raises ConfigurationError, naming the option, for what the model cannot see.
    """
    entity = _required(options, "entity")
    base_url = _checked("base_url", plain_address, options.base_url or DEFAULT_BASE_URL)
    return Settings(
        entity=entity,
        projects=tuple(ProjectPath(entity, name, base_url) for name in _project_names(options)),
        wanted=Wanted(options.metrics, options.sps_keys, options.system_metrics),
        run_tags=tuple(dict.fromkeys(options.run_tags)),
        run_types=_checked("run_types", RunTypes, [(entry.name, entry.pattern) for entry in options.run_types]),
        timeframe_tag=options.timeframe.strip(),
        timeframe=_checked("timeframe", parse_duration, options.timeframe),
        completed_runs=_checked("completed_runs", parse_duration, options.completed_runs),
        full_refresh=_checked("full_refresh", parse_duration, options.full_refresh),
        max_runs=options.max_runs,
        page_size=options.page_size,
        max_pages=options.max_pages,
        distributions=options.distributions,
        events=options.events,
    )


def places_of(options: Any, provenance: Provenance, host: CredentialHost) -> CredentialPlaces:
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
        host=host,
    )


def identity_tags(project: ProjectPath) -> tuple[str, ...]:
    """The tags that say which project a series is of."""
    return (tag("wandb_entity", project.entity), tag("wandb_project", project.name))


def _project_names(options: Any) -> list[str]:
    """The one `project`, or the names in `projects`, each once."""
    if options.projects is None:
        return [_required(options, "project")]
    if options.project:
        raise ConfigurationError("`project` and `projects` are both set: one project or a list of them, not both")
    names = list(dict.fromkeys(name.strip() for name in options.projects.include))
    if not names:
        raise ConfigurationError("`projects.include` is empty: name at least one project")
    for name in names:
        if not LITERAL_NAME.fullmatch(name):
            raise ConfigurationError(
                f"`projects.include`: {name!r} is no project name: write letters, digits, `.`, `_` and `-` only"
            )
    return names


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

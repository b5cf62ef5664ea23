"""The options of an instance, resolved into what the code works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from metta_checks.core import tag
from metta_checks.core.address import plain_address
from metta_checks.core.credentials import CredentialHost, CredentialPlaces
from metta_checks.core.duration import parse_duration
from metta_checks.core.environment import Variable
from metta_checks.core.names import NameSelection, name_selection
from metta_checks.core.option_errors import OptionError, parsed, required
from metta_checks.core.trust import Provenance
from metta_checks.wandb.api_models import RunReader
from metta_checks.wandb.blobs import GpuDevices, SummarySelection
from metta_checks.wandb.client import USER
from metta_checks.wandb.config_models.defaults import instance_api_key_secret
from metta_checks.wandb.metrics import SampleOptions
from metta_checks.wandb.models import ProjectPath, RunTypes

VARIABLES: Final[Mapping[str, Variable]] = {
    "entity": Variable("WANDB_ENTITY"),
    "project": Variable("WANDB_PROJECT", unless="projects"),
    "base_url": Variable("WANDB_BASE_URL"),
}

DEFAULT_BASE_URL: Final = "https://api.wandb.ai"

WEBSITE: Final = ("wandb.ai", "wandb.com")
"""W&B's website. The SDK refuses the addresses of its pages too (wandb#1754)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an instance asks for. Durations are parsed, patterns compiled, names resolved."""

    entity: str
    base_url: str
    project: ProjectPath | None
    projects: NameSelection | None
    reader: RunReader
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
    def named(self) -> tuple[ProjectPath, ...]:
        """The projects that the configuration spells out."""
        if self.project is not None:
            return (self.project,)
        return tuple(map(self.path, self.projects.literals)) if self.projects else ()

    @classmethod
    def from_options(cls, options: Any) -> Settings:
        """The settings behind the validated `options` (the generated instance model).

        Raises ConfigurationError, naming the option, for what the model cannot see.
        """
        entity = required(options, "entity", VARIABLES)
        base_url = parsed("base_url", _api_address, options.base_url or DEFAULT_BASE_URL)
        projects = None if options.projects is None else name_selection("projects", options.projects)
        if projects is not None and options.project:
            raise OptionError("projects", "is set beside `project`: give one project or a list of them, not both")
        project = None if projects else ProjectPath(entity, required(options, "project", VARIABLES), base_url)
        return cls(
            entity=entity,
            base_url=base_url,
            project=project,
            projects=projects,
            reader=RunReader(
                SummarySelection(
                    options.metrics,
                    options.sps_keys,
                    options.system_metrics,
                    GpuDevices(options.gpu_devices),
                    options.gpus_key,
                ),
                parsed("run_types", RunTypes, [(entry.name, entry.pattern) for entry in options.run_types]),
                run_tags=tuple(dict.fromkeys(options.run_tags)),
                completed_tags=tuple(dict.fromkeys(options.completed_tags)),
            ),
            timeframe_tag=options.timeframe.strip(),
            timeframe=parsed("timeframe", parse_duration, options.timeframe),
            completed_runs=parsed("completed_runs", parse_duration, options.completed_runs),
            full_refresh=parsed("full_refresh", parse_duration, options.full_refresh),
            max_runs=options.max_runs,
            page_size=options.page_size,
            max_pages=options.max_pages,
            distributions=options.distributions,
            events=options.events,
        )

    def path(self, name: str) -> ProjectPath:
        """The project of this name."""
        return ProjectPath(self.entity, name, self.base_url)

    def sample_options(self, project: ProjectPath) -> SampleOptions:
        """What the metrics of a project need to know."""
        return SampleOptions(self.reader.run_types, self.timeframe_tag, identity_tags(project))


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


def _api_address(text: str) -> str:
    """The address of the API. Raises ValueError where W&B's website or the path of a request stands instead."""
    address = plain_address(text)
    split = urlsplit(address)
    host = f".{split.hostname or ''}".rstrip(".")
    if host.endswith(tuple(f".{site}" for site in WEBSITE)) and host != ".api.wandb.ai":
        raise ValueError(f"is the address of W&B's website: its API is at {DEFAULT_BASE_URL}")
    if split.path.lower().endswith("/graphql"):
        raise ValueError("is the address of a request: leave `/graphql` out, the check adds it")
    if host == ".api.wandb.ai" and split.path:
        raise ValueError(f"has a path, and W&B's own API has none: write {DEFAULT_BASE_URL}")
    return address


def identity_tags(project: ProjectPath) -> tuple[str, ...]:
    """The tags that say which project a series is of."""
    return (tag("wandb_entity", project.entity), tag("wandb_project", project.name))

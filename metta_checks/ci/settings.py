"""The options of one instance, resolved: durations, lists, conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from metta_checks.ci.rules import RULES
from metta_checks.core.address import plain_address
from metta_checks.core.duration import parse_duration
from metta_checks.core.environment import Variable, Variables
from metta_checks.core.names import NameSelection, name_selection
from metta_checks.core.option_errors import OptionError, parsed, required
from metta_checks.core.unknown_options import did_you_mean
from metta_checks.health.condition import Condition, parse_condition

if TYPE_CHECKING:
    from metta_checks.ci.config_models.instance import InstanceConfig

PUBLIC_API: Final = "https://api.github.com"

REST_HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
"""What every REST request has."""

VARIABLES: Final[Variables] = {
    "repo": Variable("GITHUB_REPOSITORY", unless="organization"),
    "branch": Variable("GITHUB_BRANCH"),
    "api_url": Variable("GITHUB_API_URL"),
    "token_secret": Variable("GITHUB_TOKEN_SECRET"),
    "app_id": Variable("GITHUB_APP_ID"),
    "app_installation_id": Variable("GITHUB_APP_INSTALLATION_ID"),
    "app_private_key_secret": Variable("GITHUB_APP_PRIVATE_KEY_SECRET"),
    "window": Variable("GITHUB_WINDOW"),
    "label_window": Variable("GITHUB_LABEL_WINDOW"),
    "hotfix_labels": Variable("GITHUB_HOTFIX_LABELS", "list"),
    "force_merge_labels": Variable("GITHUB_FORCE_MERGE_LABELS", "list"),
    "revert_labels": Variable("GITHUB_REVERT_LABELS", "list"),
    "tests_blocking_merge_workflows": Variable("GITHUB_TESTS_BLOCKING_MERGE_WORKFLOWS", "list"),
    "benchmarks_workflows": Variable("GITHUB_BENCHMARKS_WORKFLOWS", "list"),
    "exclude_workflows": Variable("GITHUB_EXCLUDE_WORKFLOWS", "list"),
    "max_age": Variable("GITHUB_MAX_AGE"),
    "conditions": Variable("GITHUB_CONDITIONS", "map"),
}
"""The token's variables are not among them: `core.credentials` looks at those."""

RERUN_SPAN: Final = timedelta(hours=24)
"""How much older than the window a run may be whose re-run counts."""

DEFAULT_BRANCH: Final = "main"
"""That of a single repository."""

# `.` and `..` would lead to another path of the server.
_OWNER = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+")
_REPO = re.compile(r"(?!\.{1,2}/)[A-Za-z0-9._-]+/(?!\.{1,2}\Z)[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class App:
    """A GitHub App, and where it is installed."""

    id: str
    installation_id: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What one instance watches and how it judges, or a repository of several.

    With `organization` and `repos`, `repo` is empty until `of_repo` fills it in, and so is a `branch` that is not set:
    then GitHub names it, and `is_default_branch` says so.

    `labels` and `lists` are by metric: the labels that count for it, the workflows that decide it. Where one is
    empty the metric is off.
    """

    repo: str
    branch: str
    api_url: str
    window: timedelta
    label_window: timedelta
    labels: Mapping[str, tuple[str, ...]]
    lists: Mapping[str, tuple[str, ...]]
    conditions: Mapping[str, Condition]
    exclude_workflows: tuple[str, ...] = ()
    max_age: timedelta | None = None
    app: App | None = None
    organization: str = ""
    repos: NameSelection | None = None
    is_default_branch: bool = False

    def of_repo(self, repo: str, branch: str) -> Settings:
        """Those of one repository of several."""
        return replace(self, repo=repo, branch=branch, is_default_branch=not self.branch)

    @classmethod
    def from_options(cls, options: InstanceConfig) -> Settings:
        """The settings that the options say. Raises ConfigurationError, which names the option, for what the model of
        the options cannot see."""
        repos = _repos(options)
        branch = (options.branch or "").strip()
        return cls(
            repo="" if repos else _repo(required(options, "repo", VARIABLES)),
            branch=branch or ("" if repos else DEFAULT_BRANCH),
            organization=(options.organization or "").strip(),
            repos=repos,
            api_url=parsed("api_url", plain_address, options.api_url or PUBLIC_API),
            window=parsed("window", parse_duration, options.window),
            label_window=parsed("label_window", parse_duration, options.label_window),
            labels={
                "github.hotfix.count": _texts(options.hotfix_labels),
                "github.force_merge.count": _texts(options.force_merge_labels),
                "github.reverts.count": _texts(options.revert_labels),
            },
            lists={
                "ci.workflow.tests_blocking_merge": _texts(options.tests_blocking_merge_workflows),
                "ci.workflow.benchmarks": _texts(options.benchmarks_workflows),
            },
            conditions=parsed("conditions", _conditions, options.conditions or {}),
            exclude_workflows=_texts(options.exclude_workflows),
            max_age=parsed("max_age", parse_duration, options.max_age) if options.max_age else None,
            app=_app(options),
        )

    @property
    def place(self) -> str:
        """What messages call that which is asked about: the repository, or the organization where it is about all."""
        return self.repo or self.organization

    @property
    def lookback(self) -> timedelta:
        """How long ago a run may have been created to count."""
        return self.window + RERUN_SPAN

    @property
    def graphql_url(self) -> str:
        """GitHub Enterprise Server has its two APIs side by side: `/api/v3` and `/api/graphql`."""
        return f"{self.api_url.removesuffix('/v3') if self.api_url.endswith('/api/v3') else self.api_url}/graphql"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The judged metrics that are on."""
        off = {metric for metric, entries in {**self.labels, **self.lists}.items() if not entries}
        return tuple(metric for metric in RULES if metric not in off)


def _repo(repo: str) -> str:
    if not _REPO.fullmatch(repo):
        # Not repeated: what stands around the name may be a token.
        raise OptionError("repo", "is not owner/name: write it so, without an address or a credential around it")
    return repo


def _repos(options: InstanceConfig) -> NameSelection | None:
    """The repositories of an organization that are watched; None for a single one."""
    if options.organization is None:
        if options.repos is not None:
            raise OptionError(
                "repos", "is set without `organization`: name the organization whose repositories they are"
            )
        return None
    if options.repo:
        raise OptionError("organization", "is set beside `repo`: give one repository or an organization, not both")
    if not _OWNER.fullmatch(options.organization.strip()):
        raise OptionError("organization", "is no name of an organization: write the name alone, without an address")
    if options.repos is None:
        raise OptionError("repos", "is not set: say in `include` which repositories of the organization are watched")
    return name_selection("repos", options.repos, ignore_case=True)


def _app(options: InstanceConfig) -> App | None:
    if _PATH.fullmatch((options.app_private_key or "").strip()):
        raise OptionError("app_private_key", "is a path, and this option takes the text of the key (PEM)")
    app_id, installation_id = str(options.app_id or "").strip(), str(options.app_installation_id or "").strip()
    if not app_id:
        for option in ("app_installation_id", "app_private_key"):
            if getattr(options, option):
                raise OptionError("app_id", f"is not set, and `{option}` is: a GitHub App needs both")
        return None
    if not re.fullmatch(r"(?!gh[a-z]_|github_pat_)[A-Za-z0-9._-]{1,100}", app_id):
        raise OptionError("app_id", "is neither the App's number nor its client id")
    if not installation_id:
        problem = "is not set: it is the number at the end of the address of the installation's settings"
        raise OptionError("app_installation_id", problem)
    if not installation_id.isascii() or not installation_id.isdecimal():
        raise OptionError("app_installation_id", "is no number")
    return App(app_id, installation_id)


_PATH: Final = re.compile(r"(?:~?/|[A-Za-z]:\\|file:)[^\s]{1,250}|[\w./-]{1,250}\.(?:pem|key)")
"""What is no key in PEM form, but where a file with one may be."""


def _texts(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for value in values if (text := value.strip())))


def _conditions(given: Mapping[str, object]) -> dict[str, Condition]:
    """The default of each metric, or what is given for it, with or without the namespace.

    The model of the options takes a mapping of anything, since it looks at no entry of one.
    """
    texts = {metric: rule.condition for metric, rule in RULES.items()}
    for name, text in given.items():
        metric = str(name).removeprefix("metta.infra.cron.")
        if metric not in texts:
            meant = did_you_mean(metric, texts)
            raise ValueError(f"{name!r} is not a judged figure{meant or ': write one of ' + ', '.join(texts)}")
        if not isinstance(text, str):
            raise ValueError(f"the condition of {metric} is no text: write it in quotes, such as '< 5'")
        texts[metric] = text
    return {metric: parse_condition(text) for metric, text in texts.items()}

"""The repositories of an organization that an instance watches, and the default branch of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from metta_checks.ci.api_models import RepositoryPage, repository, repository_page
from metta_checks.ci.client import GitHub, Session
from metta_checks.ci.settings import Settings
from metta_checks.core.discovery import ListPage
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.transport import Response

PER_PAGE: Final = 100

MAX_BRANCH: Final = 255
"""Characters of a branch's name; git's own limit."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


class RepositoryList:
    """Reads the list of an organization's repositories, a page at a time; an unchanged page costs no quota.

    An archived repository is on it only where the configuration spells out its name. A name that GitHub would not give
    a repository is left out: it becomes part of an address.
    """

    def __init__(self, session: Session, settings: Settings) -> None:
        self._github = GitHub(session, settings)
        self._settings = settings
        self._literals = {name.casefold(): name for name in settings.repos.literals} if settings.repos else {}
        self._kept: dict[int, _KeptPage] = {}

    def read_page(self, cursor: str | None) -> ListPage:
        """One page, and the number of the next one. Raises SourceError, CredentialError."""
        # Before the advice that a request about a repository would get.
        self._github.session.require_usable()
        number = int(cursor or 1)
        kept = self._kept.get(number)
        answer = self._request(number, kept.etag if kept else None)
        if answer.status == 304 and kept is not None:
            return kept.page
        listed = repository_page(answer)
        order = hash(tuple(one.name for one in listed.repositories))
        former = self._kept.get(number - 1)
        if former is not None and listed.repositories and order == former.order:
            remedy = "Is `api_url` the address of a GitHub API? Something on the way may repeat its pages."
            raise SourceError(Kind.MALFORMED, answer.operation, f"page {number} is the one before it again", remedy)
        page = ListPage(self._names(listed), str(number + 1) if listed.has_next and listed.repositories else None)
        # Where the list got shorter, what was kept behind its end stays unused.
        self._kept[number] = _KeptPage(answer.headers.get("etag"), page, order)
        return page

    def _names(self, listed: RepositoryPage) -> dict[str, str]:
        """The default branches by name, of those that may be watched."""
        names: dict[str, str] = {}
        for one in listed.repositories:
            literal = self._literals.get(one.name.casefold())
            if _NAME.fullmatch(one.name) and one.name not in {".", ".."} and (literal or not one.archived):
                names[literal or one.name] = _usable(one.default_branch)
        return names

    def _request(self, number: int, etag: str | None) -> Response:
        organization = self._settings.organization
        parameters = {"type": "all", "sort": "full_name", "per_page": str(PER_PAGE), "page": str(number)}
        about = f"the repositories of organization {organization}"
        try:
            return self._github.get(f"/orgs/{organization}/repos", about=about, params=parameters, etag=etag)
        except SourceError as error:
            if error.kind is Kind.NOT_FOUND:
                remedy = "Check `organization` (a user account is not an organization) and `api_url`."
                raise error.with_remedy(remedy) from None
            raise


class _KeptPage(NamedTuple):
    """A page of the list; `order` stands for the names that it has, to recognise them on the next one."""

    etag: str | None
    page: ListPage
    order: int


class DefaultBranches:
    """The default branches of repositories of which the list does not say it: asked for once in the list's interval,
    and remembered while the process lives. An unchanged answer costs no quota."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._known: dict[str, _Repository] = {}

    def of(self, names: Mapping[str, str], now: datetime) -> tuple[dict[str, str], list[str]]:
        """The branch to watch in each of the repositories at `now`, and a sentence for each that is not to be read.

        `names` has what the list says of each. A repository that is named by a former name is left out where it is
        there by its present name too: GitHub answers to both.
        """
        self._known = {name: known for name, known in self._known.items() if name in names}
        spelt = {f"{self._settings.organization}/{name}".casefold(): name for name in names}
        branches, problems = {}, []
        for name, listed in names.items():
            branch = self._settings.branch or listed
            # A name that the list has is the present one; what has no other beside it is not read twice.
            if not branch or (not listed and len(names) > 1):
                try:
                    known = self._read(name, now)
                except SourceError as error:
                    if not branch:
                        problems.append(f"{name} is not read, since its default branch is not known: {error}")
                        continue
                else:
                    branch = branch or known.branch
                    present = spelt.get(known.full_name.casefold(), name)
                    if present != name:
                        problems.append(f"{name} is called {present} by now, and is read as such: change `repos`")
                        continue
            branches[name] = branch
        return branches, problems

    def _read(self, name: str, now: datetime) -> _Repository:
        known, interval = self._known.get(name), self._settings.repos.interval if self._settings.repos else timedelta(0)
        if known is not None and timedelta(0) <= now - known.read_at < interval:
            return known
        github = GitHub(self._session, self._settings.of_repo(f"{self._settings.organization}/{name}", ""))
        try:
            answer = github.get_of_repo("", about="the default branch", etag=known.etag if known else None)
            if answer.status == 304 and known is not None:
                read = replace(known, read_at=now)
            else:
                parsed = repository(answer)
                branch = _usable(parsed.default_branch)
                read = _Repository(parsed.full_name, branch, answer.headers.get("etag"), now)
            if not (self._settings.branch or read.branch):
                remedy = "Name the branch in the option `branch`."
                raise SourceError(Kind.MALFORMED, answer.operation, "a default branch without a usable name", remedy)
        except SourceError:
            # What is known stays in use, and is asked for again by the next collection.
            if known is None:
                raise
            return known
        self._known[name] = read
        return read


@dataclass(frozen=True, slots=True)
class _Repository:
    """What GitHub says of a repository: its present name with the owner, and its default branch."""

    full_name: str
    branch: str
    etag: str | None
    read_at: datetime


def _usable(branch: str | None) -> str:
    """The name of a branch; empty for what is none."""
    return branch if branch and len(branch) <= MAX_BRANCH else ""

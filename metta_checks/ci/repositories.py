"""The repositories of an organisation: GitHub's list of them, and the default branch of each."""

from __future__ import annotations

import re
from typing import Final, TypeGuard
from urllib.parse import quote

from metta_checks.ci.api_models import RepositoryPage, repository, repository_page
from metta_checks.ci.client import GitHub
from metta_checks.core.discovery import ListPage
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.names import NameSelection

PER_PAGE: Final = 100

NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
"""What GitHub allows as the name of a repository; it stands in the addresses of requests."""

MAX_BRANCH: Final = 255
"""Characters of a branch's name that Git can store."""


class Repositories:
    """Reads the list of an organisation's repositories, of which `selection` is watched.

    A page of the list, and a repository that was looked up, is asked for by its ETag: as long as nothing changes it
    costs no quota.
    """

    def __init__(self, github: GitHub, organization: str, selection: NameSelection) -> None:
        self._github = github
        self._organization = organization
        self._selection = selection
        self._pages: dict[int, tuple[str, ListPage]] = {}
        self._first_names: dict[int, str | None] = {}
        self._branches: dict[str, tuple[str, str]] = {}

    def page(self, cursor: str | None) -> ListPage:
        """One page of the list; the cursor is its number. It holds the watched names with their default branches.

        An archived repository is left out unless a literal name means it. Raises SourceError.
        """
        number = int(cursor or 1)
        etag, known = self._pages.get(number, (None, None))
        parameters = {"type": "all", "sort": "full_name", "per_page": str(PER_PAGE), "page": str(number)}
        try:
            answer = self._github.get(
                f"/orgs/{quote(self._organization, safe='')}/repos",
                about=f"the repositories of {self._organization}",
                params=parameters,
                etag=etag,
            )
        except SourceError as error:
            raise self._advised(error) from None
        if answer.status == 304 and known is not None:
            return known
        listed = repository_page(answer)
        first = listed.repositories[0].name if listed.repositories else None
        if first is not None and number > 1 and first == self._first_names.get(number - 1):
            remedy = "Is `api_url` the address of a GitHub API? Something on the way may repeat its pages."
            raise SourceError(Kind.MALFORMED, answer.operation, f"page {number} is page {number - 1} again", remedy)
        self._first_names[number] = first
        # A page without repositories is the last one, whatever it promises.
        page = ListPage(self._watched(listed), str(number + 1) if listed.has_next and listed.repositories else None)
        if page.next is None:
            # What a longer list had behind it.
            self._pages = {one: kept for one, kept in self._pages.items() if one < number}
        if listed.etag:
            self._pages[number] = listed.etag, page
        return page

    def default_branch(self, name: str) -> str:
        """The default branch of a repository. Raises SourceError."""
        etag, known = self._branches.get(name, (None, ""))
        path = f"/repos/{self._organization}/{name}"
        answer = self._github.get(path, about=f"the default branch of {name}", etag=etag)
        if answer.status == 304 and known:
            return known
        branch = repository(answer).default_branch
        if not _is_branch(branch):
            remedy = "Name the branch in the option `branch`."
            raise SourceError(Kind.MALFORMED, answer.operation, "a default branch without a usable name", remedy)
        if new_etag := answer.headers.get("etag"):
            self._branches[name] = new_etag, branch
        return branch

    def _watched(self, listed: RepositoryPage) -> dict[str, str]:
        return {
            one.name: one.default_branch
            for one in listed.repositories
            if NAME.fullmatch(one.name) and _is_branch(one.default_branch) and self._is_watched(one.name, one.archived)
        }

    def _is_watched(self, name: str, archived: bool) -> bool:
        is_literal = self._selection.literal_of(name) is not None
        return is_literal or (not archived and self._selection.matches(name))

    def _advised(self, error: SourceError) -> SourceError:
        if error.kind is not Kind.NOT_FOUND:
            return error
        return error.with_remedy(
            f"Check `organization` and `api_url`, and that the token may see {self._organization}. Repositories of a "
            f"user's account are not listed: name them in full in `repos`."
        )


def _is_branch(name: str | None) -> TypeGuard[str]:
    return name is not None and 0 < len(name) <= MAX_BRANCH

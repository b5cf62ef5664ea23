"""Whether the watched branch exists: a misspelt one has no runs either, and nothing about it may be green."""

from __future__ import annotations

from urllib.parse import quote

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.wire import branch_name, repository
from metta_checks.core.errors import Kind, SourceError


def default_in_place_of_missing(github: GitHub, ledger: Ledger) -> str | None:
    """The repository's default branch where the watched one does not exist; None where it does.

    The ledger gets the repository's present name, which otherwise comes with its runs. Raises SourceError.
    """
    branch = github.settings.branch
    found = repository(github.get_of_repo("", about="the default branch"))
    ledger.full_name, ledger.web_url = found.full_name, found.html_url
    return None if branch == found.default_branch or _exists(github, branch) else found.default_branch


def _exists(github: GitHub, branch: str) -> bool:
    try:
        answer = github.get_of_repo(f"/branches/{quote(branch, safe='')}", about=f"the branch {branch}")
    except SourceError as error:
        if error.kind is Kind.NOT_FOUND:
            return False
        raise
    # GitHub redirects from the old name of a branch that was renamed, and lists no runs under it.
    return branch_name(answer) == branch

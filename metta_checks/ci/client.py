"""GitHub's REST and GraphQL APIs as one instance calls them, several requests at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from metta_checks.ci.access import Access, AppAccess
from metta_checks.ci.advice import advised
from metta_checks.ci.graphql import Data, QueryField, graphql_data
from metta_checks.ci.settings import REST_HEADERS, Settings
from metta_checks.core.credentials import Credential, with_fresh_credential
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import whole_number
from metta_checks.core.transport import BearerAuth, NoAuth, Response, Transport

THREADS: Final = 4
"""GitHub's secondary limits are for those who ask for much at once."""

T = TypeVar("T")


def run_concurrently(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. One that raises is an error of all of them: what has not begun by then is
    not begun, and the first error, in their order, is raised once the others have ended."""
    results, error = run_until_error(calls)
    if error is not None:
        raise error
    return results


def run_until_error(calls: Sequence[Callable[[], T]]) -> tuple[list[T], SourceError | None]:
    """What the calls before the first one that raises SourceError return, in their order, and that error. What has not
    begun by then is not begun."""
    results: list[T] = []
    if len(calls) == 1:
        try:
            return [calls[0]()], None
        except SourceError as error:
            return results, error
    if not calls:
        return results, None
    with ThreadPoolExecutor(THREADS, thread_name_prefix="metta-github") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in futures:
                results.append(future.result())  # noqa: PERF401 (what came before an error counts)
        except SourceError as error:
            pool.shutdown(wait=False, cancel_futures=True)
            return results, error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results, None


FATAL_KINDS: Final = frozenset({Kind.UNAUTHORISED, Kind.RATE_LIMITED})
"""Errors that the next request would end in as well; all others may be those of a single attempt."""


SEARCH: Final = "/search/issues"


CHECK_SUITES_AGAIN: Final = timedelta(hours=24)
"""How long check suites are not asked for after a refusal; the token may be replaced by one that may read them."""


class Session:
    """What all repositories of an instance share: the credential, the limits, and what the token may read.

    `begin` before each collection; requests from any thread, so many at a time. Without a token GitHub answers REST
    alone, 60 times an hour: `anonymous` says whether that is so. Once that is used up nothing is sent until the hour
    is over. `remaining` is what is left of the quota, None where GitHub has not said.
    """

    def __init__(self, transport: Transport, access: Access | AppAccess) -> None:
        self.transport = transport
        self.remaining: int | None = None
        self.now = datetime.min.replace(tzinfo=UTC)
        self._access = access
        self._credential: Credential | None = None
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(THREADS)
        self._exhausted: SourceError | None = None
        self._refused: SourceError | None = None
        self._unusable: Exception | None = None
        self._check_suites_refused_at: datetime | None = None

    @property
    def anonymous(self) -> bool:
        return self._credential is None

    @property
    def reads_check_suites(self) -> bool:
        """Whether GraphQL's `checkSuite` is worth asking for: fine-grained tokens are refused it."""
        refused_at = self._check_suites_refused_at
        is_recent = refused_at is not None and timedelta(0) <= self.now - refused_at < CHECK_SUITES_AGAIN
        return not self.anonymous and not is_recent

    def note_refused_check_suites(self) -> None:
        """GitHub answered that the token must not read them."""
        self._check_suites_refused_at = self.now

    def begin(self, now: datetime) -> None:
        """Look the token up. Raises CredentialError for one that cannot be used, SourceError while an anonymous
        caller's quota is used up; until the next `begin` no request is sent, and `require_usable` raises the same."""
        self.now, self._refused, self._unusable = now, None, None
        try:
            self._look_up(now)
        except Exception as error:
            self._unusable = error
            raise

    def require_usable(self) -> None:
        """Raises what `begin` raised."""
        if self._unusable is not None:
            raise self._unusable

    def _look_up(self, now: datetime) -> None:
        self._credential = self._access.credential()
        exhausted, self._exhausted = self._exhausted, None
        if exhausted is not None and self.anonymous and exhausted.reset_at is not None and now < exhausted.reset_at:
            self._exhausted = exhausted
            raise exhausted

    def send(self, method: str, url: str, *, about: str, **options: Any) -> Response:
        """The answer to one request. Raises SourceError."""

        def once(credential: Credential | None) -> Response:
            auth = BearerAuth(credential.value) if credential else NoAuth()
            return self.transport.send(method, url, about=about, auth=auth, **options)

        self.require_usable()
        with self._slots:
            # With many repositories each of them would ask in vain.
            if (refused := self._refused) is not None:
                operation = f"{self.transport.source}: {method} {url} for {about}"
                detail = f"not sent, since the credential was refused before: {refused.detail}"
                raise SourceError(refused.kind, operation, detail, refused.remedy, status=refused.status)
            try:
                answer = with_fresh_credential(once, self._credential, self._renewed)
            except SourceError as error:
                self._refused = error if error.refuses_credential else None
                raise
        self._note_quota(answer.headers)
        return answer

    def query(self, url: str, fields: Iterable[QueryField], *, about: str, apart: Collection[str]) -> Data:
        """As `GitHub.query`, of any repositories; the errors have no advice yet."""
        chosen = list(fields)
        variables = {name: variable for field in chosen for name, variable in field.variables.items()}
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in variables.items())
        body = {
            "query": f"query({declared}) {{ {' '.join(field.text for field in chosen)} }}",
            "variables": {name: value for name, (_, value) in variables.items()},
        }
        return graphql_data(self.send("POST", url, about=about, json=body), self.now, apart)

    def explained(self, error: SourceError, settings: Settings, url: str = "") -> SourceError:
        """The error with an advice for the repository of `settings`."""
        explained = advised(error, settings, anonymous=self.anonymous)
        # The search has a quota of its own, which is renewed each minute.
        if self.anonymous and error.kind is Kind.RATE_LIMITED and not url.endswith(SEARCH):
            self._exhausted = explained
        return explained

    def _renewed(self, refused: Credential | None) -> Credential | None:
        """Another token after a 401, where AWS has one by now; threads that were refused together share it."""
        if refused is None:
            return None
        with self._lock:
            if self._credential == refused:
                self._credential = self._access.refresh(refused) or refused
            return self._credential if self._credential != refused else None

    def _note_quota(self, headers: Mapping[str, str]) -> None:
        remaining = whole_number(headers.get("x-ratelimit-remaining", ""))
        if remaining is not None and headers.get("x-ratelimit-resource", "core") == "core":
            self.remaining = remaining


class GitHub:
    """Sends the requests about one repository, that of `settings`; `get` and `query` from any thread."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self.settings = settings
        self.session = session

    @property
    def source(self) -> str:
        """The API's name in messages."""
        return self.session.transport.source

    @property
    def anonymous(self) -> bool:
        return self.session.anonymous

    @property
    def remaining(self) -> int | None:
        """What is left of the quota."""
        return self.session.remaining

    @property
    def out_of_time(self) -> bool:
        """Whether the running collection's time is up, so that an error is that of all its requests."""
        return self.session.transport.time_left <= 0

    @property
    def has_time(self) -> bool:
        """Whether most of the collection's time is still there: what failed slowly is then not worth another try."""
        return self.session.transport.time_left > 0.5

    def get(
        self,
        path: str,
        *,
        about: str,
        params: Mapping[str, str] | None = None,
        etag: str | None = None,
    ) -> Response:
        """One REST answer; `path` begins with a slash. With an `etag` it may be a 304, which costs no quota."""
        headers = dict(REST_HEADERS)
        if etag:
            headers["If-None-Match"] = etag
        url = f"{self.settings.api_url}{path}"
        try:
            return self.session.send("GET", url, about=about, headers=headers, params=params)
        except SourceError as error:
            raise self.explained(error, url) from None

    def get_of_repo(
        self,
        path: str,
        *,
        about: str,
        params: Mapping[str, str] | None = None,
        etag: str | None = None,
    ) -> Response:
        """The same, below the repository."""
        return self.get(f"/repos/{self.settings.repo}{path}", about=about, params=params, etag=etag)

    def query(self, fields: Iterable[QueryField], *, about: str, apart: Collection[str] = ()) -> Data:
        """The data of one GraphQL query; what of it no longer exists is None. An error of an alias in `apart` is
        returned beside the data; every other one is raised."""
        try:
            data = self.session.query(self.settings.graphql_url, fields, about=about, apart=apart)
        except SourceError as error:
            raise self.explained(error) from None
        return Data(data.values, {alias: self.explained(error) for alias, error in data.faults.items()})

    def explained(self, error: SourceError, url: str = "") -> SourceError:
        """The error with an advice for this repository."""
        return self.session.explained(error, self.settings, url)

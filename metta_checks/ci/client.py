"""GitHub's REST and GraphQL APIs as one instance calls them, several requests at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from metta_checks.ci.access import Access, AppAccess
from metta_checks.ci.advice import advised
from metta_checks.ci.graphql import Data, QueryField, graphql_data
from metta_checks.ci.settings import REST_HEADERS, Settings
from metta_checks.core.credentials import Credential, with_fresh_credential
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import reset_time, whole_number
from metta_checks.core.transport import BearerAuth, NoAuth, Response, Transport

THREADS: Final = 4
"""GitHub's secondary limits are for those who ask for much at once."""

NEVER: Final = datetime.min.replace(tzinfo=UTC)

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. One that raises is an error of all of them: what has not begun by then is
    not begun, and the first error, in their order, is raised once the others have ended."""
    results, error = together_until_error(calls)
    if error is not None:
        raise error
    return results


def together_until_error(calls: Sequence[Callable[[], T]]) -> tuple[list[T], SourceError | None]:
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


SEARCH: Final = "/search/issues"


CHECK_SUITES_AGAIN: Final = timedelta(hours=24)
"""How long check suites are not asked for after a refusal; the token may be replaced by one that may read them."""


@dataclass(slots=True)
class Session:
    """What the requests of an instance have in common, whatever repository they are about.

    `exhausted` is the error of an anonymous caller's quota that is used up. `remaining` is what is left of the quota
    until `resets_at`.
    """

    credential: Credential | None = None
    now: datetime = NEVER
    exhausted: SourceError | None = None
    check_suites_refused_at: datetime | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(THREADS))


class GitHub:
    """Sends the requests of one instance. `begin` before each collection; `get` and `query` from any thread.

    Without a token GitHub answers REST alone, 60 times an hour: `anonymous` says whether that is so. Once that is
    used up nothing is sent until the hour is over.
    """

    def __init__(
        self, transport: Transport, access: Access | AppAccess, settings: Settings, session: Session | None = None
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._access = access
        self._session = session or Session()

    def of(self, settings: Settings) -> GitHub:
        """The same for one repository of several: the credential and the quota are shared."""
        return GitHub(self._transport, self._access, settings, self._session)

    @property
    def source(self) -> str:
        """The API's name in messages."""
        return self._transport.source

    @property
    def anonymous(self) -> bool:
        return self._session.credential is None

    @property
    def remaining(self) -> int | None:
        """What is left of the quota of REST, as far as that is known."""
        resets_at = self._session.resets_at
        is_over = resets_at is not None and self._session.now >= resets_at
        return None if is_over else self._session.remaining

    @property
    def reads_check_suites(self) -> bool:
        """Whether GraphQL's `checkSuite` is worth asking for: fine-grained tokens are refused it."""
        refused_at = self._session.check_suites_refused_at
        is_recent = refused_at is not None and timedelta(0) <= self._session.now - refused_at < CHECK_SUITES_AGAIN
        return not self.anonymous and not is_recent

    def note_refused_check_suites(self) -> None:
        """GitHub answered that the token must not read them."""
        self._session.check_suites_refused_at = self._session.now

    @property
    def out_of_time(self) -> bool:
        """Whether the running collection's time is up, so that an error is that of all its requests."""
        return self._transport.time_left <= 0

    def begin(self, now: datetime) -> None:
        """Look the token up. Raises CredentialError for one that cannot be used, SourceError while an anonymous
        caller's quota is used up."""
        self._session.now = now
        self._session.credential = self._access.credential()
        exhausted, self._session.exhausted = self._session.exhausted, None
        if exhausted is not None and self.anonymous and exhausted.reset_at is not None and now < exhausted.reset_at:
            self._session.exhausted = exhausted
            raise exhausted

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
        return self._send("GET", f"{self.settings.api_url}{path}", about=about, headers=headers, params=params)

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
        chosen = list(fields)
        variables = {name: variable for field in chosen for name, variable in field.variables.items()}
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in variables.items())
        body = {
            "query": f"query({declared}) {{ {' '.join(field.text for field in chosen)} }}",
            "variables": {name: value for name, (_, value) in variables.items()},
        }
        answer = self._send("POST", self.settings.graphql_url, about=about, json=body)
        try:
            data = graphql_data(answer, self._session.now, apart)
        except SourceError as error:
            raise self._explained(error) from None
        return Data(data.values, {alias: self._explained(error) for alias, error in data.faults.items()})

    def _send(self, method: str, url: str, *, about: str, **options: Any) -> Response:
        def once(credential: Credential | None) -> Response:
            auth = BearerAuth(credential.value) if credential else NoAuth()
            with self._session.slots:
                return self._transport.send(method, url, about=about, auth=auth, **options)

        try:
            answer = with_fresh_credential(once, self._session.credential, self._renewed)
        except SourceError as error:
            raise self._explained(error, url) from None
        self._note_quota(answer.headers)
        return answer

    def _renewed(self, refused: Credential | None) -> Credential | None:
        """Another token after a 401, where AWS has one by now; threads that were refused together share it."""
        if refused is None:
            return None
        with self._session.lock:
            if self._session.credential == refused:
                self._session.credential = self._access.refresh(refused) or refused
            return self._session.credential if self._session.credential != refused else None

    def _explained(self, error: SourceError, url: str = "") -> SourceError:
        explained = advised(error, self.settings, anonymous=self.anonymous)
        # The search has a quota of its own, which is renewed each minute.
        if self.anonymous and error.kind is Kind.RATE_LIMITED and not url.endswith(SEARCH):
            self._session.exhausted = explained
        return explained

    @property
    def has_time(self) -> bool:
        """Whether most of the collection's time is still there: what failed slowly is then not worth another try."""
        return self._transport.time_left > 0.5

    def _note_quota(self, headers: Mapping[str, str]) -> None:
        remaining = whole_number(headers.get("x-ratelimit-remaining", ""))
        if remaining is not None and headers.get("x-ratelimit-resource", "core") == "core":
            self._session.remaining = remaining
            self._session.resets_at = reset_time(headers, self._session.now)

"""Targets that come from a list of the source: the list with its refreshes, and what is gone from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from metta_checks.core.errors import CredentialError, Kind, SourceError, StateError
from metta_checks.core.names import NameSelection
from metta_checks.core.state import StateFormat, Store
from metta_checks.core.target import EXAMPLES, Target, first_three

GONE_FOR: Final = timedelta(hours=24)
"""How long a target that is gone from the list is still reported, as one that cannot be read."""

LIST_SHARE: Final = 0.5
"""The share of a collection's time that is left for the targets: a longer list goes on in the next collection."""

MAX_PAGES: Final = 1_000
"""Pages of a list: one of 100,000 names. What has more does not end."""

OF_ALL_REQUESTS: Final = frozenset({Kind.UNAUTHORISED, Kind.RATE_LIMITED})
"""Errors that the next request would end in as well."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of the list: `names` with what the list says of each that the check wants to keep (a default branch),
    and the cursor of the next page, None on the last one."""

    names: Mapping[str, str]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a look at the list gave.

    `names` are those to read, in order, with what the list says of each (empty where it says nothing, as for a literal
    name that is not in it). `gone` says since when targets of earlier lists are missing, and `former` what the list
    said of them. `over_limit` are names that match beyond the limit. `literals` are those of `names` that the
    configuration spells out.
    """

    names: Mapping[str, str]
    literals: frozenset[str] = frozenset()
    gone: Mapping[str, datetime] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    over_limit: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _KnownList:
    """The last list that was read to its end, as far as it matches; `gone` are former targets that it has not, and
    `former` what it said of them. `details` are those of literal names that were looked up."""

    read_at: datetime
    names: Mapping[str, str]
    gone: Mapping[str, datetime]
    former: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Unfinished:
    """A list that is being read."""

    names: dict[str, str] = field(default_factory=dict)
    cursor: str | None = None
    seen: set[str] = field(default_factory=set)
    pages: int = 0


class Discovery:
    """The names that `selection` takes out of the list that `read_page` reads.

    `what` names the list in messages: "projects of entity team". A refresh is due every `selection.interval`. When it
    fails, the last list stays in use, with a warning, also over a restart: it is kept in `store`. A list that is too
    long for one collection is read on in the next one. A target that is gone from the list is reported as `gone` for a
    day. A literal name is never gone, and needs no list. Where a target is more than its name, `look_up` gives what a
    list would say of a literal name that is in none; without that it is no target yet.
    """

    def __init__(
        self,
        what: str,
        selection: NameSelection,
        read_page: Callable[[str | None], ListPage],
        store: Store,
        look_up: Callable[[str], str] | None = None,
    ) -> None:
        self._what = what
        self._selection = selection
        self._read_page = read_page
        self._look_up = look_up
        self._to_look_up: set[str] = set()
        self._details: dict[str, str] = {}
        self._is_changed = False
        self._store = store
        self._known: _KnownList | None = None
        self._unfinished: _Unfinished | None = None
        self._is_restored = False

    def look(self, now: datetime, time_left: Callable[[], float]) -> Discovered:
        """The targets at `now`; `time_left` is the share of the collection's time that is left, from 1 down to 0.

        Raises what `read_page` raises where no list has been read yet and no name is literal, and what `look_up` raises
        where there is no target for it.
        """
        warnings: list[str] = []
        needs_list = self._selection.needs_list
        if needs_list or self._look_up:
            self._restore()
        if needs_list and self._is_due(now):
            try:
                if unfinished := self._refresh(now, time_left):
                    warnings.append(unfinished)
            except (SourceError, CredentialError) as error:
                self._unfinished = None
                if self._known is None and not self._selection.literals:
                    raise
                warnings.append(self._failure(error, now))
        elif self._look_up and self._is_due(now):
            self._take({}, now)
        failures = self._read_literals(self._look_up, time_left) if self._look_up else {}
        found = self._discovered(now, warnings)
        if failures and not found.names and not found.gone:
            raise next(iter(failures.values()))
        sentences = [f"{name} of the {self._what} could not be looked up: {error}" for name, error in failures.items()]
        return replace(found, warnings=(*found.warnings, *first_three(sentences)))

    def _read_literals(
        self, look_up: Callable[[str], str], time_left: Callable[[], float]
    ) -> Mapping[str, SourceError | CredentialError]:
        """Look up the literal names that the list does not have: each once an interval, and until it is known. Returns
        why some could not be; what was known of them stays in use."""
        listed = self._known.names if self._known is not None else {}
        literals = [name for name in self._selection.literals[: self._selection.limit] if not listed.get(name)]
        failures: dict[str, SourceError | CredentialError] = {}
        for name in [one for one in literals if one in self._to_look_up or one not in self._details]:
            if self._details and time_left() < LIST_SHARE:
                break
            self._to_look_up.discard(name)
            try:
                self._details[name] = look_up(name)
                self._is_changed = True
            except CredentialError as error:
                return {**failures, name: error}
            except SourceError as error:
                failures[name] = error
                if error.kind in OF_ALL_REQUESTS:
                    break
        self._keep()
        return failures

    def _is_due(self, now: datetime) -> bool:
        # A clock that was set back makes it due too.
        known = self._known
        return known is None or not timedelta(0) <= now - known.read_at < self._selection.interval

    def _refresh(self, now: datetime, time_left: Callable[[], float]) -> str:
        """Read the list, or as much of it as there is time for: the warning is empty when it is read to its end."""
        reading = self._unfinished = self._unfinished or _Unfinished()
        while True:
            page = self._read_page(reading.cursor)
            reading.pages += 1
            for name, detail in page.names.items():
                literal = self._selection.literal_of(name)
                if literal is not None or self._selection.matches(name):
                    reading.names[literal or name] = detail
            # An empty page that promises more and leads nowhere is the last one, as with W&B's runs.
            if page.next is None or (page.next in reading.seen and not page.names):
                break
            if page.next in reading.seen or reading.pages >= MAX_PAGES:
                detail = "more pages, but the cursor repeats" if page.next in reading.seen else "a list without an end"
                remedy = "The next collection tries again; name the targets one by one if it stays."
                raise SourceError(Kind.MALFORMED, f"list the {self._what}", detail, remedy)
            reading.seen.add(page.next)
            reading.cursor = page.next
            if time_left() < LIST_SHARE:
                return (
                    f"the list of {self._what} is long: {reading.pages:,} pages are read, the next collection goes on"
                )
        self._unfinished = None
        self._take(reading.names, now)
        return ""

    def _take(self, names: Mapping[str, str], now: datetime) -> None:
        gone: dict[str, datetime] = {}
        former: dict[str, str] = {}
        if (known := self._known) is not None:
            since = dict.fromkeys(self._chosen(known.names)[0], now) | dict(known.gone)
            gone = {name: min(moment, now) for name, moment in since.items() if name not in names}
            former = {**known.former, **known.names}
        literals = self._selection.literals
        gone = {name: since for name, since in gone.items() if name not in literals and now - since < GONE_FOR}
        former = {name: former[name] for name in gone if former.get(name)}
        self._known = _KnownList(now, dict(sorted(names.items())), gone, former)
        self._to_look_up = {name for name in literals if name not in names}
        self._is_changed = True
        self._keep()

    def _keep(self) -> None:
        """Save what changed; what could not be kept is read again after a restart."""
        if not self._is_changed or self._known is None:
            return
        self._is_changed = False
        document = LIST_FORMAT.encode(replace(self._known, details=self._details), self._known.read_at)
        with suppress(StateError):
            self._store.save(document)

    def _chosen(self, names: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The names to read, and those over the limit."""
        literals = self._selection.literals
        matching = [*literals, *(name for name in sorted(names) if name not in literals)]
        return matching[: self._selection.limit], matching[self._selection.limit :]

    def _discovered(self, now: datetime, warnings: list[str]) -> Discovered:
        known = self._known or _KnownList(now, {}, {})
        chosen, over = self._chosen(known.names)
        gone = {name: since for name, since in known.gone.items() if now - since < GONE_FOR}
        if over:
            named = "; ".join([*over[:EXAMPLES], *([f"{len(over) - EXAMPLES:,} more"] if len(over) > EXAMPLES else [])])
            warnings.append(
                f"{len(over):,} {self._what} are over the `limit` of {self._selection.limit:,} and not read: {named}"
            )
        if not chosen and not gone and self._known is not None:
            warnings.append(f"none of the {self._what} matches `include`")
        literals = frozenset(self._selection.literals).intersection(chosen)
        names = {name: known.names.get(name) or self._details.get(name, "") for name in chosen}
        if self._look_up:
            names = {name: detail for name, detail in names.items() if detail}
        former = {name: known.former.get(name, "") for name in gone}
        return Discovered(names, literals, gone, former, tuple(over), tuple(warnings))

    def _failure(self, error: Exception, now: datetime) -> str:
        if self._known is None:
            return f"the {self._what} could not be listed, only those named in full are read: {error}"
        age = (now - self._known.read_at).total_seconds()
        return f"the {self._what} could not be listed, the list of {age:,.0f} s ago stays in use: {error}"

    def _restore(self) -> None:
        if self._is_restored:
            return
        self._is_restored = True
        known = LIST_FORMAT.decode(self._store.load())
        if known is None:
            self._store.refuse()
            return
        self._known, self._details = known, dict(known.details)


class _Saved(BaseModel):
    """Times are epoch seconds."""

    model_config = ConfigDict(strict=True)

    read_at: int
    names: dict[str, str]
    gone: dict[str, int]
    former: dict[str, str] = {}
    details: dict[str, str] = {}


def _encoded(known: _KnownList, _: datetime) -> dict[str, Any]:
    gone = {name: int(since.timestamp()) for name, since in known.gone.items()}
    read_at, former, details = int(known.read_at.timestamp()), dict(known.former), dict(known.details)
    return _Saved(read_at=read_at, names=dict(known.names), gone=gone, former=former, details=details).model_dump(
        exclude_defaults=True
    )


def _decoded(document: Any) -> _KnownList | None:
    try:
        saved = _Saved.model_validate(document)
        gone = {name: datetime.fromtimestamp(since, UTC) for name, since in saved.gone.items()}
        return _KnownList(datetime.fromtimestamp(saved.read_at, UTC), saved.names, gone, saved.former, saved.details)
    except (ValidationError, ValueError, OverflowError, OSError):
        return None


LIST_FORMAT: Final = StateFormat("list", 1, _encoded, _decoded)
"""How a list is kept over a restart."""


def gone_error(source: str, target: Target, since: datetime) -> SourceError:
    """The error of a target that the list no longer has."""
    detail = f"it is not in the list since {since:%Y-%m-%dT%H:%M:%SZ}"
    remedy = (
        "It was deleted or renamed, or the credential may no longer see it. It is reported for 24 hours; "
        "list it in `exclude` to stop that."
    )
    return SourceError(Kind.NOT_FOUND, f"{source}: read {target.name}", detail, remedy)

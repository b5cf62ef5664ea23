"""Targets that come from a list of the source: the list with its refreshes, and what is gone from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    name that is not in it). `gone` says since when targets of earlier lists are missing, and `former` what those said
    of them. `forgotten` are names that are missing for so long that their state is of no more use, with what was said
    of them. `over_limit` are names that match beyond the limit.
    """

    names: Mapping[str, str]
    gone: Mapping[str, datetime] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    forgotten: Mapping[str, str] = field(default_factory=dict)
    over_limit: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListName:
    """What a list is called in messages: the `items` of `owner`, one `item` of them. `check` are the options to check
    where it is empty."""

    item: str
    items: str
    owner: str
    check: str

    def __str__(self) -> str:
        """`projects of entity team`."""
        return f"{self.items} of {self.owner}"

    def without_match(self, listed: Sequence[str], count: int | None) -> str:
        """Nothing of the list is watched. `listed` are the first of its `count` names; None where that is unknown."""
        if count is None:
            return f"none of the {self} matches `include`"
        owner = f"{self.owner[0].upper()}{self.owner[1:]}"
        if not count:
            return f"{owner} has no {self.item} that {self.check}"
        named = ", ".join([*listed, *(["…"] if count > len(listed) else [])])
        return f"{owner} has {count:,} {self.item if count == 1 else self.items} ({named}); none matches `include`"


@dataclass(frozen=True, slots=True)
class _KnownList:
    """The last list that was read to its end, as far as it matches; `gone` are former targets that it has not, and
    `former` is what was said of them. `count` is how many names it had, None where that was not kept; `first` are the
    first of them."""

    read_at: datetime
    names: Mapping[str, str]
    gone: Mapping[str, datetime]
    former: Mapping[str, str] = field(default_factory=dict)
    count: int | None = None
    first: Sequence[str] = ()


@dataclass(slots=True)
class _Unfinished:
    """A list that is being read."""

    names: dict[str, str] = field(default_factory=dict)
    cursor: str | None = None
    seen: set[str] = field(default_factory=set)
    pages: int = 0
    count: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _SlowFailure:
    """A refresh that failed at `at`, after it had taken the time of the targets."""

    at: datetime
    reason: str


class Discovery:
    """The names that `selection` takes out of the list that `read_page` reads.

    `what` is the list's name in messages. A refresh is due every `selection.interval`. When it
    fails, the last list stays in use, with a warning, also over a restart: it is kept in `store`. A refresh that took
    the targets' time is repeated after the interval, any other one by the next collection. A list that is too long for
    one collection is read on in the next one. A target that is gone from the list is reported as `gone` for a day, and
    is forgotten after `kept_for`, or earlier where more than `selection.limit` are gone. A literal name is never gone,
    and needs no list.
    """

    def __init__(
        self,
        what: ListName,
        selection: NameSelection,
        read_page: Callable[[str | None], ListPage],
        store: Store,
        kept_for: timedelta,
    ) -> None:
        self._what = what
        self._selection = selection
        self._read_page = read_page
        self._store = store
        self._kept_for = max(kept_for, GONE_FOR)
        self._forgotten: dict[str, str] = {}
        self._known: _KnownList | None = None
        self._unfinished: _Unfinished | None = None
        self._slow: _SlowFailure | None = None
        self._is_restored = False

    def look(self, now: datetime, time_left: Callable[[], float]) -> Discovered:
        """The targets at `now`; `time_left` is the share of the collection's time that is left, from 1 down to 0.

        Raises what `read_page` raises where no list has been read yet and no name is literal.
        """
        warnings: list[str] = first_three(self._selection.warnings)
        self._forgotten = {}
        if self._selection.needs_list:
            self._restore()
            if self._is_due(now):
                try:
                    if unfinished := self._refresh(now, time_left):
                        warnings.append(unfinished)
                except (SourceError, CredentialError) as error:
                    self._unfinished = None
                    if self._known is None and not self._selection.literals:
                        raise
                    if time_left() < LIST_SHARE:
                        self._slow = _SlowFailure(now, str(error))
                    warnings.append(self._failure(str(error), now))
            elif self._slow is not None:
                warnings.append(self._failure(self._slow.reason, now))
        return self._discovered(now, warnings)

    def _is_due(self, now: datetime) -> bool:
        # A clock that was set back makes it due too.
        moments = [self._known.read_at] if self._known else []
        if self._slow is not None:
            moments.append(self._slow.at)
        return not any(timedelta(0) <= now - moment < self._selection.interval for moment in moments)

    def _refresh(self, now: datetime, time_left: Callable[[], float]) -> str:
        """Read the list, or as much of it as there is time for: the warning is empty when it is read to its end."""
        reading = self._unfinished = self._unfinished or _Unfinished()
        while True:
            page = self._read_page(reading.cursor)
            reading.pages += 1
            reading.count += len(page.names)
            reading.first = [*reading.first, *page.names][:EXAMPLES]
            reading.names |= {name: detail for name, detail in page.names.items() if self._is_wanted(name)}
            # An empty page that promises more and leads nowhere is the last one, as with W&B's runs.
            if page.next is None or (page.next in reading.seen and not page.names):
                break
            if page.next in reading.seen or reading.pages >= MAX_PAGES:
                detail = "more pages, but the cursor repeats" if page.next in reading.seen else "the list does not end"
                remedy = "The next collection tries again; if the error persists, name the targets one by one."
                raise SourceError(Kind.MALFORMED, f"list the {self._what}", detail, remedy)
            reading.seen.add(page.next)
            reading.cursor = page.next
            if time_left() < LIST_SHARE:
                return (
                    f"the list of {self._what} is long: {reading.pages:,} pages are read, the next collection continues"
                )
        self._unfinished = self._slow = None
        self._take(reading, now)
        return ""

    def _is_wanted(self, name: str) -> bool:
        return name in self._selection.literals or self._selection.matches(name)

    def _take(self, reading: _Unfinished, now: datetime) -> None:
        names = reading.names
        gone: dict[str, datetime] = {}
        said: dict[str, str] = {}
        if (known := self._known) is not None:
            missing = dict.fromkeys(self._chosen(known.names)[0], now) | dict(known.gone)
            gone = {name: min(since, now) for name, since in missing.items() if name not in names}
            said = {**known.former, **known.names}
        literals = self._selection.literals
        latest = sorted((name for name in gone if name not in literals), key=lambda name: (now - gone[name], name))
        kept = {name for name in latest[: self._selection.limit] if now - gone[name] < self._kept_for}
        self._forgotten = {name: said.get(name, "") for name in latest if name not in kept}
        gone = {name: since for name, since in gone.items() if name in kept}
        former = {name: said[name] for name in gone if said.get(name)}
        self._known = _KnownList(now, dict(sorted(names.items())), gone, former, reading.count, reading.first)
        # What could not be kept is read again after a restart.
        try:
            self._store.save(LIST_FORMAT.encode(self._known, now))
        except StateError:
            return

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
            warnings.append(self._what.without_match(known.first, known.count))
        names = {name: known.names.get(name, "") for name in chosen}
        former = {name: known.former.get(name, "") for name in gone}
        return Discovered(names, gone, former, self._forgotten, tuple(over), tuple(warnings))

    def _failure(self, reason: str, now: datetime) -> str:
        if self._known is None:
            return f"the {self._what} could not be listed; only those named in full are read: {reason}"
        age = (now - self._known.read_at).total_seconds()
        return f"the {self._what} could not be listed; the list of {age:,.0f} s ago stays in use: {reason}"

    def _restore(self) -> None:
        if self._is_restored:
            return
        self._is_restored = True
        known = LIST_FORMAT.decode(self._store.load())
        if known is None:
            self._store.refuse()
        self._known = known


class _Saved(BaseModel):
    """Times are epoch seconds."""

    model_config = ConfigDict(strict=True)

    read_at: int
    names: dict[str, str]
    gone: dict[str, int]
    former: dict[str, str] = {}
    count: int | None = None
    first: list[str] = []


def _encoded(known: _KnownList, _: datetime) -> dict[str, Any]:
    gone = {name: int(since.timestamp()) for name, since in known.gone.items()}
    saved = _Saved(
        read_at=int(known.read_at.timestamp()),
        names=dict(known.names),
        gone=gone,
        former=dict(known.former),
        count=known.count,
        first=list(known.first),
    )
    return saved.model_dump(exclude_defaults=True)


def _decoded(document: Any) -> _KnownList | None:
    try:
        saved = _Saved.model_validate(document)
        gone = {name: datetime.fromtimestamp(since, UTC) for name, since in saved.gone.items()}
        read_at = datetime.fromtimestamp(saved.read_at, UTC)
        return _KnownList(read_at, saved.names, gone, saved.former, saved.count, saved.first)
    except (ValidationError, ValueError, OverflowError, OSError):
        return None


LIST_FORMAT: Final = StateFormat("list", 1, _encoded, _decoded)
"""How a list is kept over a restart."""


def gone_error(source: str, target: Target, since: datetime) -> SourceError:
    """The error of a target that the list no longer has."""
    detail = f"it has been missing from the list since {since:%Y-%m-%dT%H:%M:%SZ}"
    remedy = (
        "It was deleted or renamed, or the credential may no longer see it. It is reported for 24 hours; "
        "list it in `exclude` to stop that."
    )
    return SourceError(Kind.NOT_FOUND, f"{source}: read {target.name}", detail, remedy)

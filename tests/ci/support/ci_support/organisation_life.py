"""What happens in an organisation over weeks: repositories come, go and break, states get lost, lists lie."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from ci_support.organisation import OWNER, Organisation
from ci_support.truth import DAY, Truth
from datadog_checks.base.stubs import datadog_agent
from simulator_support.github_changes import RandomChanges

from metta_checks.core.state import identity_hash
from metta_checks.simulator.github_refusals import not_found, server_error
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository
from metta_checks.simulator.github_sample import new_repository
from metta_checks.simulator.server import Reply, Request

LIST_INTERVAL = timedelta(minutes=10)
GONE_FOR = timedelta(hours=24)
LOOKBACK = 2 * DAY
ANCHOR = "anchor"
"""The repository that is always there: a collection in which none can be read is an error."""

DAMAGES: Mapping[str, Callable[[str], str]] = {
    "lost": lambda _: "",
    "cut short": lambda text: text[: len(text) // 2],
    "foreign": lambda _: "\x00\xff not ours",
    "of another version": lambda text: text.replace('"version":', '"version":9'),
    "deep": lambda _: "[" * 100_000,
    "a list": lambda text: text.partition('"state"')[0] + '"state":[]}',
}


class OrganisationLife:
    """Changes an organisation at random, the same way for the same seed.

    `truths` count by repository what the Agent has to report. `listed` are the names of the last list that it could
    read, `gone` says since when earlier ones are missing.
    """

    def __init__(self, organisation: Organisation, seed: int, most: int) -> None:
        self.organisation = organisation
        self.chance = random.Random(seed)
        self.most = most
        self.truths: dict[str, Truth] = {}
        self.listed: set[str] = set()
        self.gone: dict[str, datetime] = {}
        self.damaged: Counter[str] = Counter()
        self._listed_at: datetime | None = None
        self._hidden: set[str] = set()
        self._forbidden: set[str] = set()
        self._list_fails = False
        self._away: dict[str, DemoRepository] = {}
        self._made = 0
        self._activities: dict[int, RandomChanges] = {}
        organisation.server.intercept = self._intercept
        organisation.server.repositories = ()
        self._make(ANCHOR)

    def live(self) -> None:
        """What happens between two collections."""
        chance, organisation = self.chance, self.organisation
        organisation.clock.advance(timedelta(minutes=chance.choice((4, 4, 12, 60, 240, 600))))
        for repository in organisation.server.repositories:
            self._activities[repository.id].catch_up()
            self._activities[repository.id].mutate()
        names = self._names()
        self._list_fails = chance.random() < 0.1
        self._hidden = {name for name in names if chance.random() < 0.5} if chance.random() < 0.1 else set()
        self._forbidden = {name for name in sorted(self._forbidden) if chance.random() < 0.7}
        if names and chance.random() < 0.1:
            self._forbidden.add(chance.choice(names))
        if len(names) < self.most and chance.random() < 0.3:
            self._come()
        if names and chance.random() < 0.15:
            self._go(chance.choice(names))
        if (names := self._names()) and chance.random() < 0.1:
            self._archive_or_rename(chance.choice(names))
        organisation.server.relent()
        for name in self._forbidden:
            organisation.server.refuse(not_found(), f"/repos/{OWNER}/{name}/")
        if self._list_fails:
            organisation.server.refuse(server_error(502), "/orgs/")
        if chance.random() < 0.3:
            self._restart()
        if chance.random() < 0.2:
            self._damage()

    def look_at_list(self) -> None:
        """What the collection sees of the list at this moment."""
        now = self.organisation.clock()
        if self._list_fails or (self._listed_at is not None and now - self._listed_at < LIST_INTERVAL):
            return
        names = {one["name"] for one in self._entries() if not one["archived"]}
        self.gone = {name: self.gone.get(name, now) for name in {*self.gone, *self.listed} - names}
        self.listed, self._listed_at = names, now
        for name in [name for name, since in self.gone.items() if now - since >= LOOKBACK]:
            # What is still known of it would be outside the window.
            del self.gone[name]
            self.truths.pop(name, None)

    def reported_gone(self) -> set[str]:
        now = self.organisation.clock()
        return {name for name, since in self.gone.items() if now - since < GONE_FOR}

    def readable(self) -> Iterator[tuple[str, Truth]]:
        """The repositories that the check finds and may read."""
        for repository in self.organisation.server.repositories:
            # Until the list is read again, one that was renamed is read by its former name.
            names = [name for name in self.listed if repository.had_name(f"{OWNER}/{name}")]
            for name in (repository.full_name.partition("/")[2], *names):
                if name in self.listed and name not in self._forbidden:
                    yield name, self.truths.setdefault(name, Truth(repository))

    def _names(self) -> list[str]:
        """The repositories that come and go."""
        names = [one.full_name.partition("/")[2] for one in self.organisation.server.repositories]
        return [name for name in names if name != ANCHOR]

    def _come(self) -> None:
        """One that was away comes back, or a new one appears."""
        if self._away and self.chance.random() < 0.5:
            self.organisation.add(self._away.pop(self.chance.choice(list(self._away))))
        else:
            self._made += 1
            self._make(f"r{self._made:03}")

    def _make(self, name: str) -> None:
        clock = self.organisation.clock
        number = FIRST_REPOSITORY_ID + 1_000 + self._made
        repository, _ = new_repository(f"{OWNER}/{name}", 10, clock, repository_id=number)
        self._activities[repository.id] = RandomChanges(repository, runs_per_day=20, seed=self.chance.randrange(1_000))
        # A label that a repository does not have is looked for now and then only.
        for label in ("hotfix", "force-merge", "force_merge", "revert"):
            repository.add_label(label)
        for workflow in repository.workflows:
            begin = clock() - timedelta(hours=1)
            repository.new_run(workflow.id, conclusion="success", created_at=begin, duration=timedelta(minutes=3))
        self.organisation.add(repository)

    def _go(self, name: str) -> None:
        gone = self.organisation.remove(name)
        if len(self._away) < 3:
            self._away[name] = gone

    def _archive_or_rename(self, name: str) -> None:
        repository = self.organisation[name]
        if self.chance.random() < 0.5:
            repository.archived = not repository.archived
            return
        self._made += 1
        repository.rename(f"{OWNER}/r{self._made:03}")

    def _restart(self) -> None:
        self.organisation.check.cancel()
        self.organisation.restart()

    def _damage(self) -> None:
        """The state of one repository is unusable, and the Agent starts anew."""
        name = self.chance.choice([*self._names(), ANCHOR])
        url = self.organisation.server.url
        identity = {"api_url": url, "repo": f"{OWNER}/{name}", "branch": "main", "window": "86400.0"}
        key = f"metta_ci:{identity_hash('metta_ci', identity)}_ledger"
        if text := datadog_agent._cache.get(key, ""):
            kind = self.chance.choice(list(DAMAGES))
            datadog_agent._cache[key] = DAMAGES[kind](text)
            self.damaged[kind] += 1
            self.truths.pop(name, None)
        self._restart()

    def _entries(self) -> list[dict[str, str | bool]]:
        return [
            {
                "name": one.full_name.partition("/")[2],
                "default_branch": one.default_branch,
                "archived": one.archived,
            }
            for one in self.organisation.server.repositories
            if one.full_name.partition("/")[2] not in self._hidden
        ]

    def _intercept(self, request: Request) -> Reply | None:
        """A list that lacks some."""
        if request.path != f"/orgs/{OWNER}/repos" or not self._hidden or self._list_fails:
            return None
        return Reply(200, json.dumps(self._entries()).encode(), {"Content-Type": "application/json"})

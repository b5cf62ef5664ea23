"""The repositories of an organisation in one instance: which are watched, what they cost, what one failure does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from ci_support.organisation import OWNER, Organisation
from ci_support.scene import TOKEN
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.server import Reply, Request

Make = Callable[..., Organisation]
LIST = f"/orgs/{OWNER}/repos"


@pytest.fixture
def organisation(aggregator: AggregatorStub) -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda *names, **options: stack.enter_context(Organisation(aggregator, *names, **options))


def answer(document: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


def questions(watched: Organisation) -> int:
    return sum(request.path == "/graphql" for request in watched.server.requests)


def test_twelve_repositories_share_one_question_and_change_nothing_for_nothing(organisation: Make) -> None:
    names = [f"r{n:02}" for n in range(12)]
    watched = organisation(*names)
    watched.collect()
    assert watched.statuses() == {"read": 12}
    assert watched.by_repo("metta.check.up") == dict.fromkeys(names, 1.0)
    assert watched.by_repo("metta.infra.cron.ci.workflow.tests_blocking_merge") == dict.fromkeys(names, 1.0)
    watched.server.requests.clear()
    counted = dict(watched.server.counted)
    # The first page of the runs and the two of the queue, by their ETags, and the question.
    assert watched.collect(minutes=4) == 12 * 3 + 1
    assert questions(watched) == 1
    assert watched.server.counted["core"] == counted["core"]
    assert watched.by_repo("metta.infra.cron.ci.workflow.tests_blocking_merge") == dict.fromkeys(names, 1.0)
    # The list is due after ten minutes, and is free too as long as it is the same.
    watched.collect(minutes=8)
    assert sum(request.path == LIST for request in watched.server.requests) == 1
    assert watched.server.counted["core"] == counted["core"]


def test_the_figures_of_each_repository_are_those_of_a_single_instance(organisation: Make) -> None:
    watched = organisation("arena", "maze", runs=4)
    singles = {
        name: watched.new_check(organization=None, repos=None, repo=f"{OWNER}/{name}") for name in ("arena", "maze")
    }
    caches: list[dict[str, str]] = [{}, {}]
    for minutes in (0, 4, 30, 4, 70):
        watched.clock.advance(timedelta(minutes=minutes))
        if minutes == 30:
            watched.finish_run("maze", "failure")
            watched["arena"].rerun(watched["arena"].runs[0].id)
        if minutes == 70:
            watched["arena"].delete_run(watched["arena"].runs[-1].id)
        agent._cache, caches[1] = caches[0], agent._cache
        watched.collect()
        together = {name: (watched.figures(name), watched.points().count(name)) for name in singles}
        agent._cache, caches[0] = caches[1], agent._cache
        for name, single in singles.items():
            watched.collect(single)
            assert (watched.figures(name), watched.points().count(name)) == together[name]


@pytest.mark.parametrize(
    ("repos", "expected"),
    [
        ({"include": ["ma.*"]}, {"maze", "Mansion"}),
        ({"include": [".*"], "exclude": ["MA.*"]}, {"arena", "scratch-1"}),
        ({"include": ["ARENA", "ma[xz]e"]}, {"ARENA", "maze"}),
        ({"include": ["old"]}, {"old"}),
        ({"include": ["old", "a.*"]}, {"old", "arena"}),
        ({"include": ["Old", "a.*"]}, {"Old", "arena"}),
        ({"include": ["o.*", "a.*"]}, {"arena"}),
        ({"include": [".*"], "exclude": ["scratch-[0-9]+", "arena", "maze"]}, {"Mansion"}),
    ],
)
def test_which_repositories_are_watched(organisation: Make, repos: Any, expected: set[str]) -> None:
    """`old` is archived: only its very name brings it in."""
    watched = organisation("arena", "maze", "Mansion", "scratch-1", repos=repos)
    watched.add(watched.new_repository("old", archived=True))
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == expected
    assert watched.warnings() == []


def test_each_repository_is_watched_on_its_default_branch_which_is_remembered(organisation: Make) -> None:
    watched = organisation("arena", repos={"include": ["a.*", "old", "trunk"]})
    watched.add(watched.new_repository("trunk", default_branch="trunk"))
    watched.add(watched.new_repository("old", default_branch="master", archived=True))
    watched.collect()
    assert watched.branches() == {"arena": "main", "trunk": "trunk", "old": "master"}
    assert watched.by_repo("metta.infra.cron.ci.workflow.runs", "conclusion:success")["trunk"] == 2.0
    watched.restart()
    watched.server.intercept = lambda request: (
        answer({}, 500) if request.path in (LIST, f"/repos/{OWNER}/old") else None
    )
    watched.collect(minutes=4)
    assert watched.branches() == {"arena": "main", "trunk": "trunk", "old": "master"}


def test_quiet_repositories_cost_no_request_that_counts_either(organisation: Make) -> None:
    watched = organisation(*(f"r{n}" for n in range(8)), runs=0)
    watched.collect()
    counted = watched.server.counted["core"]
    watched.collect(minutes=4)
    assert watched.server.counted["core"] == counted
    assert watched.statuses() == {"read": 8}


def test_a_branch_of_the_options_is_that_of_all(organisation: Make) -> None:
    watched = organisation("arena", "maze", branch="develop", repos={"include": ["arena", "m.*"]})
    watched["arena"].new_run(watched["arena"].workflows[0].id, branch="develop", conclusion="success")
    watched.collect()
    assert watched.branches() == {"arena": "develop", "maze": "develop"}
    (warning,) = [text for text in watched.warnings() if "has no branch develop" in text]
    assert warning.startswith(f"{OWNER}/maze, branch develop: ")


def test_literal_names_need_no_list(organisation: Make) -> None:
    watched = organisation("arena", "maze", "zoo", repos={"include": ["arena", "zoo"]})
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena", "zoo"}
    assert LIST not in [request.path for request in watched.server.requests]


def test_a_literal_name_is_no_target_until_its_branch_is_read(organisation: Make) -> None:
    watched = organisation("arena", repos={"include": ["arena", "nosuch"]})
    watched.collect()
    assert watched.by_repo("metta.check.up") == {"arena": 1.0}
    (warning,) = watched.warnings()
    assert warning.startswith("nosuch is not read, since its default branch is not known: GitHub: ")
    watched.add(watched.new_repository("nosuch"))
    watched.collect(minutes=4)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "nosuch": 1.0}
    assert watched.warnings() == []


def test_a_deleted_run_is_found_out_at_once_among_many_that_take_turns(organisation: Make) -> None:
    """The first page lacks it, and is asked for without its ETag until GraphQL answers that it is gone."""
    names = [f"r{n:02}" for n in range(30)]
    watched = organisation(*names, runs=98)
    watched.collect()
    gone = watched["r07"].runs[40]
    watched["r07"].delete_run(gone.id)
    watched.collect(minutes=4)
    counted = watched.server.counted["core"]
    watched.collect(minutes=4)
    assert watched.server.counted["core"] == counted + 1
    watched.collect(minutes=4)
    assert watched.server.counted["core"] == counted + 1
    runs = watched.by_repo("metta.infra.cron.ci.workflow.runs", "conclusion:success")
    assert runs["r07"] == 98.0


def test_a_new_repository_appears_and_a_deleted_one_fails_for_a_day(organisation: Make) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    watched.add(watched.new_repository("new", default_branch="dev"))
    watched.remove("maze")
    watched.collect(minutes=10)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 0.0, "new": 1.0}
    assert watched.branches()["maze"] == "main"
    assert watched.statuses() == {"read": 2, "failed": 1}
    states = watched.by_repo("metta.infra.health.state", "metric_name:ci.workflow.success")
    assert states == {"arena": 0.0, "maze": 1.0, "new": 0.0}
    (warning,) = watched.warnings()
    assert "it has been missing from the list since 2026-" in warning
    # After a restart, too, its branch is known, so that its series go on.
    watched.restart()
    watched.collect(minutes=4)
    assert watched.branches() == {"arena": "main", "maze": "main", "new": "dev"}
    watched.warnings()
    watched.collect(hours=24)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "new"}
    assert watched.warnings() == []


def test_a_default_branch_that_changes_is_noticed_with_and_without_a_list(organisation: Make) -> None:
    watched = organisation("arena", "maze", repos={"include": ["arena"]})
    watched.collect()
    before = len(watched.server.requests)
    watched.collect(minutes=4)
    assert f"/repos/{OWNER}/arena" not in [request.path for request in watched.server.requests[before:]]
    watched["arena"].default_branch = "trunk"
    watched.collect(minutes=10)
    assert watched.branches() == {"arena": "trunk"}
    # What is known stays in use while it cannot be asked for.
    watched.server.intercept = lambda request: answer({}, 500) if request.path == f"/repos/{OWNER}/arena" else None
    watched.collect(minutes=10)
    assert watched.branches() == {"arena": "trunk"}
    listed = organisation("arena", "maze")
    listed.collect()
    listed["maze"].default_branch = "trunk"
    listed.collect(minutes=10)
    assert listed.branches() == {"arena": "main", "maze": "trunk"}


def test_a_renamed_repository_is_another_one_and_submits_no_point_again(organisation: Make) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    watched.finish_run("maze")
    watched.collect(minutes=4)
    assert watched.points() == ["maze"]
    watched["maze"].rename(f"{OWNER}/labyrinth")
    watched.collect(minutes=10)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 0.0, "labyrinth": 1.0}
    assert watched.points() == []


@pytest.mark.parametrize(
    ("include", "options"),
    [
        (["maze", "l.*"], {}),
        (["maze", ".*"], {}),
        (["maze", "Labyrinth"], {}),
        (["arena", "maze", "l.*"], {"branch": "main"}),
        (["maze", "labyrinth"], {"branch": "main"}),
    ],
)
def test_a_renamed_repository_that_is_there_by_both_names_is_read_once(
    organisation: Make, include: list[str], options: Any
) -> None:
    """GitHub answers to the former name too."""
    watched = organisation("arena", "maze", repos={"include": include}, **options)
    watched.collect()
    watched.warnings()
    watched["maze"].rename(f"{OWNER}/labyrinth")
    watched.collect(minutes=10)
    watched.warnings()
    for _ in range(2):
        watched.finish_run("labyrinth", "failure")
        watched.collect(minutes=10)
        read = {name.lower() for name in watched.by_repo("metta.check.up")} - {"arena"}
        assert read == {"labyrinth"}
        (present,) = (name for name in watched.by_repo("metta.check.up") if name != "arena")
        (warning,) = watched.warnings()
        assert warning == f"maze is called {present} by now, and is read as such: change `repos`"
        assert [name for name in watched.points() if name != "arena"] == [present]
    # Another repository that takes the former name is read beside it.
    watched.add(watched.new_repository("maze"))
    watched.collect(minutes=10)
    assert len(watched.by_repo("metta.check.up").keys() - {"arena"}) == 2
    assert watched.warnings() == []


@pytest.mark.parametrize("options", [{}, {"branch": "main"}])
def test_a_renamed_repository_that_is_there_by_its_former_name_alone_goes_on(organisation: Make, options: Any) -> None:
    watched = organisation("arena", "maze", repos={"include": ["maze", "a.*"]}, **options)
    watched.collect()
    watched["maze"].rename(f"{OWNER}/labyrinth")
    watched.collect(minutes=10)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 1.0}
    assert any("demo-org/maze is called demo-org/labyrinth by now" in warning for warning in watched.warnings())


@pytest.mark.parametrize("restart", [False, True])
def test_a_list_that_flaps_never_reports_a_point_twice(organisation: Make, restart: bool) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    watched.finish_run("maze")
    watched.collect(minutes=4)
    assert watched.points() == ["maze"]
    for _ in range(2):
        gone = watched.remove("maze")
        watched.collect(minutes=10)
        assert watched.points() == []
        if restart:
            watched.restart()
        watched.add(gone)
        watched.collect(minutes=10)
        assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 1.0}
        assert watched.points() == []
    watched.finish_run("maze")
    watched.collect(minutes=4)
    assert watched.points() == ["maze"]


def test_when_the_list_fails_the_last_one_stays_in_use(organisation: Make) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    watched.server.intercept = lambda request: answer({}, 500) if request.path == LIST else None
    watched.collect(minutes=10)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 1.0}
    (warning,) = watched.warnings()
    assert f"the repositories of organization {OWNER} could not be listed; the list of 600 s ago stays" in warning
    watched.restart()
    watched.collect(minutes=10)
    assert watched.statuses() == {"read": 2}


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (404, {"message": "Not Found"}, "Check `organization`"),
        (403, {"message": "Resource not accessible by personal access token"}, f"of {OWNER} (a classic one"),
        (200, {"message": "no list"}, "a response of an unknown shape"),
        (200, [{"name": 7}], "a response of an unknown shape"),
        (500, {}, "server error"),
    ],
)
def test_a_list_that_was_never_read_is_an_error(organisation: Make, status: int, document: Any, words: str) -> None:
    watched = organisation("arena")
    watched.server.intercept = lambda request: answer(document, status) if request.path == LIST else None
    assert words in watched.failing()
    assert watched.by_repo("metta.check.up") == {"": 0.0}
    assert watched.statuses() == {}


@pytest.mark.parametrize(
    ("page", "most"),
    [
        (lambda number: [{"name": f"loop{n}", "default_branch": "main"} for n in range(100)], 2),
        (lambda number: [{"name": f"p{number}-{n}", "default_branch": "main"} for n in range(100)], 1_000),
    ],
    ids=["the same page again", "no end"],
)
def test_a_list_without_an_end_is_given_up(organisation: Make, page: Callable[[str], Any], most: int) -> None:
    watched = organisation("arena", repos={"include": ["arena", "l.*"]}, collection_timeout=600)
    listed: list[str] = []

    def intercept(request: Request) -> Reply | None:
        if request.path != LIST:
            return None
        listed.append(request.query["page"])
        return answer(page(request.query["page"]), Link=f'<{watched.server.url}{LIST}?page=1>; rel="next"')

    watched.server.intercept = intercept
    watched.collect()
    assert len(listed) <= most
    assert watched.by_repo("metta.check.up") == {"arena": 1.0}
    assert "could not be listed; only those named in full are read" in watched.warnings()[0]


def test_names_of_a_list_that_are_none_are_left_out(organisation: Make) -> None:
    """They stand in the addresses of requests."""
    watched = organisation("arena")
    names = ["..", ".", "a/b", "a b", "../../user", "x" * 101, "", "a?b", "arena"]
    entries = [{"name": name, "default_branch": "main"} for name in names]
    entries += [{"name": "empty", "default_branch": None}, {"name": "long", "default_branch": "b" * 300}]
    watched.server.intercept = lambda request: answer(entries) if request.path == LIST else None
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena"}


def test_ten_thousand_repositories_are_listed_by_a_hundred(organisation: Make) -> None:
    watched = organisation("p0", "p1", repos={"include": ["p.*"], "limit": 2})
    entries = [{"name": f"p{n}", "default_branch": "main"} for n in range(10_000)]

    def intercept(request: Request) -> Reply | None:
        if request.path != LIST:
            return None
        number = int(request.query["page"])
        more = {"Link": f'<{watched.server.url}{LIST}?page={number + 1}>; rel="next"'} if number < 100 else {}
        return answer(entries[100 * (number - 1) : 100 * number], **more)

    watched.server.intercept = intercept
    watched.collect()
    assert sum(request.path == LIST for request in watched.server.requests) == 100
    assert watched.statuses() == {"read": 2, "over_limit": 9_998}
    assert any("9,998 repositories of organization demo-org are over the `limit` of 2" in w for w in watched.warnings())


def test_a_list_that_shrinks_to_nothing_is_reported_for_a_day(organisation: Make) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    watched.server.intercept = lambda request: answer([]) if request.path == LIST else None
    assert "none of 2 targets could be read" in watched.failing(minutes=10)
    assert watched.by_repo("metta.check.up") == {"arena": 0.0, "maze": 0.0}
    watched.collect(hours=25)
    assert watched.by_repo("metta.check.up") == {"": 0.0}
    (warning,) = watched.warnings()
    assert warning.startswith(f"Organization {OWNER} has no repository that this credential can see: check `organi")


@pytest.mark.parametrize("provider", ["kubernetes-container-allinone", "container"])
def test_a_list_that_a_stranger_led_the_check_to_is_not_believed(organisation: Make, provider: str) -> None:
    watched = organisation("arena", "planted")
    watched.check.provider = provider
    watched.collect()
    watched.remove("planted")
    watched.restart()
    watched.check.provider = "file"
    watched.collect(minutes=1)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0}


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (403, "Resource not accessible by personal access token", "forbidden"),
        (404, "Not Found", "not found"),
        (500, "oops", "server error"),
        (451, "Repository access blocked", "rejected"),
    ],
)
def test_a_repository_that_cannot_be_read_fails_alone(
    organisation: Make, status: int, message: str, words: str
) -> None:
    watched = organisation("arena", "maze", "zoo")
    watched.collect()
    path = f"/repos/{OWNER}/maze/"
    watched.server.intercept = lambda request: (
        answer({"message": message}, status) if request.path.startswith(path) else None
    )
    watched.collect(minutes=4)
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 0.0, "zoo": 1.0}
    assert watched.statuses() == {"read": 2, "failed": 1}
    (warning,) = watched.warnings()
    assert warning.startswith(f"{OWNER}/maze, branch main: ")
    assert f"({words})" in warning
    watched.server.intercept = None
    watched.collect(minutes=4)
    assert watched.statuses() == {"read": 3}


@pytest.mark.parametrize(
    ("slow", "runs"), [(("maze",), 2), (("arena",), 2), (("maze", "zoo"), 2), (("bench", "maze", "zoo"), 0)]
)
def test_slow_repositories_do_not_starve_the_others(organisation: Make, slow: tuple[str, ...], runs: int) -> None:
    """They do not answer before the time of the collection is over, in every collection."""
    names = ["arena", "bench", "maze", "zoo", "zulu"]
    watched = organisation(*names, runs=runs, collection_timeout=3)
    watched.collect()
    watched.warnings()
    over = Event()

    def intercept(request: Request) -> Reply | None:
        if request.path.split("/")[3:4] and request.path.split("/")[3] in slow:
            over.wait(20)
        return None

    watched.server.intercept = intercept
    try:
        for name in (*names, *names):
            watched.finish_run(name)
        watched.collect(minutes=4)
        assert watched.by_repo("metta.check.up") == {name: float(name not in slow) for name in names}
        assert watched.statuses() == {"read": len(names) - len(slow), "failed": len(slow)}
        assert Counter(watched.points()) == {name: 2 for name in names if name not in slow}
        assert all("(timed out)" in warning for warning in watched.warnings())
    finally:
        over.set()
    watched.server.intercept = None
    watched.collect(minutes=4)
    assert watched.statuses() == {"read": len(names)}
    assert Counter(watched.points()) == dict.fromkeys(slow, 2)


def test_a_repository_with_more_runs_than_allowed_fails_alone(organisation: Make) -> None:
    watched = organisation("arena", "zoo", max_pages=1)
    watched.add(watched.new_repository("maze", runs=250))
    watched.collect()
    assert watched.by_repo("metta.check.up") == {"arena": 1.0, "maze": 0.0, "zoo": 1.0}
    assert "(oversized response)" in watched.warnings()[0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FORBIDDEN", "Resource protected by organization SAML enforcement"),
        (None, "Something went wrong while executing your query"),
        ("SERVICE_UNAVAILABLE", "one shard is away"),
    ],
)
def test_an_error_of_one_repository_in_the_question_is_its_own(
    organisation: Make, kind: str | None, message: str
) -> None:
    watched = organisation("arena", "maze", "zoo")
    watched.collect()

    def intercept(request: Request) -> Reply | None:
        if request.path != "/graphql" or b"r1_" not in request.body:
            return None
        document = json.loads(watched.server.answer(request).body)
        aliases = [alias for alias in document["data"] if alias.startswith("r1_")]
        document["data"] |= dict.fromkeys(aliases)
        document["errors"] = [{"type": kind, "message": message, "path": [alias]} for alias in aliases]
        return answer(document)

    watched.server.intercept = intercept
    watched.collect(minutes=4)
    assert watched.statuses() == {"read": 3}
    hotfixes = watched.by_repo("metta.infra.cron.github.hotfix.count")
    assert {"arena", "zoo"} <= set(hotfixes)
    assert all(text.startswith(f"{OWNER}/maze, branch main: ") for text in watched.warnings())


def test_a_question_that_is_too_much_is_halved_and_the_size_remembered(organisation: Make) -> None:
    names = [f"r{n}" for n in range(8)]
    watched = organisation(*names)
    too_much = b'{"message": "Something went wrong while executing your query. Please include ABC"}'

    def intercept(request: Request) -> Reply | None:
        if request.path == "/graphql" and b"r2_" in request.body:
            return Reply(502, too_much, {"Content-Type": "application/json"})
        return None

    watched.server.intercept = intercept
    watched.collect()
    assert watched.statuses() == {"read": 8}
    assert set(watched.by_repo("metta.infra.cron.github.hotfix.count")) == set(names)
    watched.server.requests.clear()
    watched.collect(minutes=4)
    assert questions(watched) == 4
    assert set(watched.by_repo("metta.infra.cron.github.hotfix.count")) == set(names)


def test_a_token_that_is_refused_costs_few_requests(organisation: Make) -> None:
    names = [f"r{n:02}" for n in range(30)]
    watched = organisation(*names)
    watched.collect()
    watched.server.token = "another"
    before = len(watched.server.requests)
    assert "(unauthorized)" in watched.failing(minutes=4)
    assert len(watched.server.requests) - before <= 20
    assert watched.by_repo("metta.check.up") == dict.fromkeys(names, 0.0)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("minutes", [4, 12], ids=["the list is not due", "the list is due"])
def test_without_a_credential_the_repositories_of_the_last_list_are_unknown(
    organisation: Make, minutes: int, restart: bool
) -> None:
    """While an unauthenticated quota is used up no request is sent, and no verdict disappears."""
    watched = organisation("arena", "maze", token=None, branch="main")
    watched.collect()
    reset = int((watched.clock() + timedelta(hours=1)).timestamp())
    limits = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
    watched.server.intercept = lambda _: answer({"message": "API rate limit exceeded"}, 403, **limits)
    watched.failing(minutes=2)
    if restart:
        watched.restart()
        watched.failing(minutes=2)
    before = len(watched.server.requests)
    assert "(rate limited)" in watched.failing(minutes=minutes)
    assert len(watched.server.requests) == before
    assert watched.by_repo("metta.check.up") == {"arena": 0.0, "maze": 0.0}
    assert set(watched.by_repo("metta.infra.health.state")) == {"arena", "maze"}
    assert watched.statuses() == {"failed": 2}


def test_when_the_quota_runs_low_targets_take_turns(organisation: Make) -> None:
    """No second group is begun then; the first of the next collection is those that waited."""
    names = [f"r{n:02}" for n in range(40)]
    watched = organisation(*names)
    watched.collect()
    watched.server.limits.core = watched.server.limits.quota(TOKEN, "core").used + 31
    turns: list[set[str]] = []
    for _ in range(2):
        before = len(watched.server.requests)
        watched.collect(minutes=4)
        paths = [request.path.split("/") for request in watched.server.requests[before:]]
        turns.append({path[3] for path in paths if path[1] == "repos"})
        assert watched.by_repo("metta.check.up") == dict.fromkeys(names, 1.0)
        assert watched.statuses() == {"read": 25, "waiting": 15}
    assert set(names) == turns[0] | turns[1]


def test_the_requests_for_jobs_are_shared(organisation: Make) -> None:
    watched = organisation("arena", "maze", jobs=True, max_job_requests=4)
    watched.collect()
    for _ in range(5):
        watched.finish_run("arena")
        watched.finish_run("maze")
    read = []
    for _ in range(3):
        before = len(watched.server.requests)
        watched.collect(minutes=4)
        read.append(sum("/jobs" in request.path for request in watched.server.requests[before:]))
    assert max(read) <= 4
    assert sum(read) == 10


def test_two_instances_with_disjoint_patterns_do_not_disturb_each_other(organisation: Make) -> None:
    watched = organisation("arena", "maze", repos={"include": ["a.*"]})
    other = watched.new_check(repos={"include": ["m.*"]})
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena"}
    watched.collect(other)
    assert set(watched.by_repo("metta.check.up")) == {"maze"}


def test_a_diagnosis_and_the_state_are_per_target(organisation: Make) -> None:
    watched = organisation("arena", "maze")
    watched.collect()
    assert len(agent._cache) == 3
    assert f"{OWNER}/maze, branch main: GitHub: read at " in watched.check.get_diagnoses()
    # A single instance of the same repository goes on with the same state.
    watched.collect(watched.new_check(organization=None, repos=None, repo=f"{OWNER}/maze"))
    assert len(agent._cache) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repo": "demo-org/arena"}, "`organization` is set beside `repo`"),
        ({"organization": ".."}, "`organization` is no name of an organization"),
        ({"organization": "."}, "`organization` is no name of an organization"),
        ({"repos": None}, "`repos` is not set"),
        ({"organization": None}, "`repos` is set without `organization`"),
        ({"organization": "a/b"}, "`organization` is no name of an organization"),
        ({"organization": "https://github.com/demo-org"}, "`organization` is no name of an organization"),
        ({"repos": {"include": []}}, "`repos` is empty"),
        ({"repos": {"include": ["("]}}, "`repos` in `include`: `(` is not a regular"),
        ({"repos": {"include": ["(a+"]}}, "`repos` in `include`: `(a+` is not a regular"),
    ],
)
def test_options_that_cannot_be_meant(organisation: Make, options: Any, words: str) -> None:
    watched = organisation("arena")
    watched.check = watched.new_check(**options)
    assert words in watched.failing()
    assert watched.server.requests == []

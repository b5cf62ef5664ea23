"""The table of classes of fault and the places where they strike, in docs/security.md, has the cases that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLACES = {
    "wandb": "one project",
    "github": "one repository",
    "http": "HTTP",
    "s3": "S3",
    "file": "file",
    "entity": "projects of an entity",
    "organisation": "repositories of an organization",
    "app": "an organization by an App",
}

CLASSES = {
    "test_a_connection_that_fails": "a connection that fails",
    "test_an_answer_that_refuses": "a response that refuses",
    "test_304_to_every_request_costs_github_what_graphql_alone_answers": "a response that refuses",
    "test_an_answer_that_cannot_be_used": "a response that cannot be used",
    "test_a_field": "a field with 26 values that it must not have",
    "test_a_road_that_leads_nowhere": "names, ports and TLS",
    "test_tls": "names, ports and TLS",
    "test_a_clock_that_was_wrong_for_one_collection": "a wrong clock",
    "test_a_listing_without_an_end": "a listing of runs that lies or does not end",
    "test_a_listing_that_is_seen_through": "a listing of runs that lies or does not end",
    "test_a_listing_that_is_refused": "a listing of runs that lies or does not end",
    "test_a_file": "a file that is none, too large or broken",
    "test_a_list_that_lies": "a list of targets that lies",
    "test_one_of_many_that_lies": "a response about one target that lies",
    "test_a_token_of_an_app_that_is_none": "a token that is none, or ends early",
    "test_an_app_whose_clock_is_another": "a token that is none, or ends early",
    "test_a_token_of_an_app_that_ends_within_a_collection": "a token that is none, or ends early",
    "test_a_stop_at_any_request_of_a_reading": "a stop at any request of a first or later reading",
    "test_damage_to_the_state_of_one_target_is_its_own": "damage to one of the saved states, in ten ways",
}
STRUCK = {
    "list of": "connections and responses: the list of targets",
    "one ": "connections and responses: one target of many",
    "lists of jobs": "connections and responses: lists of jobs",
    "tokens of an App": "connections and responses: tokens",
}


def case_of(function: str, name: str) -> tuple[str, str]:
    """The class and the place of a case."""
    if function.startswith("test_a_fault_"):
        label = next(label for begin, label in STRUCK.items() if name.startswith(begin))
        kind = "app" if "tokens" in name[:12] else "entity" if "project" in name[:20] else "organisation"
        return label, PLACES[kind]
    kind = next(iter(re.findall(r"wandb|github|http|s3|entity|organisation", name)), "github")
    if function == "test_a_file":
        kind = "file"
    elif "token_of_an_app" in function or "an_app_" in function:
        kind = "app"
    elif name.startswith("project"):
        kind = "entity"
    elif name.startswith("repositor"):
        kind = "organisation"
    return CLASSES[function], PLACES[kind]


@pytest.mark.slow
def test_the_table_has_every_case() -> None:
    command = [sys.executable, "-P", "-m", "pytest", "-q", "--collect-only", "-m", "hostile", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, "tests/hostile"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    cases = re.findall(r"hostile/test_matrix\w*\.py::(\w+)\[(.*)\]", ran.stdout)
    assert len(cases) > 1_000, ran.stdout[-2000:] + ran.stderr[-2000:]
    count = Counter(case_of(*case) for case in cases)
    rows = [
        f"| {label} | {' | '.join(str(count[label, place] or '-') for place in PLACES.values())} |"
        for label in dict.fromkeys([*CLASSES.values(), *STRUCK.values()])
    ]
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    table = "\n".join(["| | " + " | ".join(PLACES.values()) + " |", "|---|" + "---:|" * len(PLACES), *rows])
    assert table in page, f"the table of docs/security.md has to be\n{table}"
    assert f"The matrix has {len(cases):,} cases" in page, len(cases)

"""Which type a run is of."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from wandb_support.watch import START, Watch

from metta_checks.wandb.models import RunTypes

DEFAULT = {"train": r"^github\.sky\.", "sweep": "(?i)sweep"}


@pytest.mark.parametrize(
    ("name", "in_sweep", "run_type"),
    [
        ("github.sky.main.1a2b", False, "train"),
        ("github.sky.sweep.7", False, "train"),  # train wins over sweep
        ("github.sky.main.1a2b", True, "train"),
        ("github.sky.", False, "train"),
        ("githubXsky.main", False, "all"),  # the dot is a dot
        ("not.github.sky.main", False, "all"),  # it has to begin so
        ("GitHub.Sky.main", False, "all"),
        ("daphne.sweep.lr", False, "sweep"),
        ("Sweep-lr-3e4", False, "sweep"),
        ("resweeping", False, "sweep"),
        ("daphne.navigation", True, "sweep"),
        ("daphne.navigation", False, "all"),
        ("", False, "all"),
        ("two\ngithub.sky.lines", False, "all"),
    ],
)
def test_run_type(name: str, in_sweep: bool, run_type: str) -> None:
    assert RunTypes(DEFAULT.items()).type_of(name, in_sweep=in_sweep) == run_type


@pytest.mark.parametrize(
    ("patterns", "name", "in_sweep", "run_type"),
    [
        ({"nightly": "nightly$", "ci": "."}, "arena.nightly", False, "nightly"),
        ({"ci": ".", "nightly": "nightly$"}, "arena.nightly", False, "ci"),  # the first one decides
        ({"nightly": "nightly"}, "github.sky.main", False, "all"),  # the built-in ones are replaced
        ({"nightly": "nightly"}, "arena", True, "all"),  # membership counts for a type called sweep only
        ({"nightly": "nightly", "sweep": "$^"}, "arena", True, "sweep"),
        ({"nightly": "nightly", "sweep": "$^"}, "arena.nightly", True, "nightly"),
        ({}, "github.sky.main", True, "all"),
    ],
)
def test_the_option_replaces_the_types(patterns: dict[str, str], name: str, in_sweep: bool, run_type: str) -> None:
    types = RunTypes(patterns.items())
    assert types.type_of(name, in_sweep=in_sweep) == run_type
    assert types.names == (*patterns, "all")


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ({"train": "("}, "'train' is not a regular expression"),
        ({"train": "ok", "sweep": "*x"}, "'sweep' is not a regular expression"),
        ({"train": "a{99999999999}"}, "'train' is not a regular expression"),
        ({"train": "(" * 10_000 + ")" * 10_000}, "'train' is not a regular expression"),
        ({"all": "."}, "cannot be called 'all'"),
        ({"": "."}, "cannot be called ''"),
        (
            {"train": "^(a+)+$"},
            r"'train' can take too long on some names: within a repetition .* \(it is `\^\(a\+\)\+\$`\)",
        ),
    ],
)
def test_tables_that_are_refused(patterns: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunTypes(patterns.items())


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(\w+\s?)+$", "(a|a)*b"])
def test_an_ambiguous_pattern_stops_no_collection_for_minutes(pattern: str, watch: Callable[..., Watch]) -> None:
    watched = watch(run_types=[{"name": "train", "pattern": pattern}])
    watched.project.start("run0", START, display_name="a" * 28 + "!")
    started = time.thread_time()
    message = watched.failing()
    assert "`run_types`: the pattern of run type 'train' can take too long on some names" in message
    assert pattern in message
    assert time.thread_time() - started < 5


def test_of_a_long_name_the_first_characters_count(watch: Callable[..., Watch]) -> None:
    watched = watch(run_types=[{"name": "wide", "pattern": "^a.*b.*c$"}, {"name": "begins", "pattern": "^ab"}])
    watched.project.start("run0", START, display_name="ab" * 50_000)
    started = time.thread_time()
    assert watched.collect().counts() == {("begins", "running"): 1}
    assert time.thread_time() - started < 5


def test_stars_of_metrics_on_a_long_key(watch: Callable[..., Watch]) -> None:
    watched = watch(metrics=["*a" * 20 + "*b", "loss*"])
    watched.project.start("run0", START, summary={"a" * 50_000: 1.0, "loss": 0.5})
    started = time.thread_time()
    assert watched.collect().of_run("run0")["loss"] == 0.5
    assert time.thread_time() - started < 5

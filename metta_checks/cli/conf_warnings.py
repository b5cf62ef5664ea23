"""What causes trouble later in a configuration that the check accepts."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from datadog_checks.base import is_affirmative

from metta_checks.cli.agent_config import AgentConfig, is_variable
from metta_checks.cli.conf_faults import CheckedFile
from metta_checks.cli.conf_files import ConfFile, FileFinding
from metta_checks.core import MettaCheck
from metta_checks.core.agent_options import AGENT_INTERVAL, agent_tags
from metta_checks.core.bounded_yaml import YamlFileError, read_yaml
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.names import slips
from metta_checks.core.tags import keys_of

LONGEST_INTERVAL: Final = 300
"""Seconds over which Datadog draws a gauge on when no point comes."""

DEFAULT_TIMEOUT: Final = 60
"""Seconds of `collection_timeout` where the file has none."""

SECRETS: Final = ("api_key", "token", "password")
"""Options that hold a secret."""

Place = tuple[Path, int]
"""A file, and the number of the instance in it."""

HOST_TAGS: Final = frozenset({"host", "hostname", "host_name"})

_USER_IN_URL = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


def warnings_of(checked: CheckedFile, *, daemonset: bool) -> Iterator[FileFinding]:
    """The warnings about one file. `daemonset` is whether every node's Agent gets it."""
    config, file = checked.config, checked.file
    if config is None:
        return
    yield from _about_the_file(config, file, daemonset=daemonset)
    faulty = {(fault.instance, fault.option) for fault in checked.faults}
    for number, given in enumerate(config.instances, 1):
        for option, text in _about_an_instance(config, given, file):
            # What is at fault is written anew anyway.
            if (number, option) not in faulty:
                yield FileFinding("warning", file.path, text, number, option)


def same_twice(files: Iterable[CheckedFile]) -> Iterator[FileFinding]:
    """A warning for each instance that watches what another one of the tree watches already, or that cannot be
    distinguished from another one."""
    watched: dict[tuple[str, str], Place] = {}
    told_apart: dict[tuple[str, frozenset[str]], Place] = {}
    for checked in files:
        for loaded in checked.loaded:
            name, place = checked.file.definition.name, (checked.file.path, loaded.number)
            firsts = [watched.setdefault((name, target.key), place) for target in loaded.check.targets()]
            alike = told_apart.setdefault((name, _tags_of_telemetry(loaded.check)), place)
            if first := next((first for first in firsts if first != place), None):
                text = "gauges overwrite each other, distribution points count twice"
                yield FileFinding(
                    "warning", place[0], f"it watches the same as {_named(first, place)}: {text}", place[1]
                )
            elif alike != place:
                series = "`metta.check.up`" + (" and `data_missing`" if checked.file.definition.records else "")
                text = f"both submit the same series of {series}, so that one hides the other's outage"
                text = f"the same as those of {_named(alike, place)}: {text}; give each a tag of its own"
                yield FileFinding("warning", place[0], text, place[1], "tags")


def _tags_of_telemetry(check: MettaCheck) -> frozenset[str]:
    """What distinguishes the series of this instance's telemetry from another's, lower-cased as Datadog has it."""
    added = agent_tags(check.instance, check.init_config)
    return frozenset(text.lower() for text in (*check.identity_tags(), *check.instance_tags, *added))


def _named(first: Place, seen_from: Place) -> str:
    return f"instance {first[1]}" if first[0] == seen_from[0] else f"instance {first[1]} of {first[0]}"


def _about_the_file(config: AgentConfig, file: ConfFile, *, daemonset: bool) -> Iterator[FileFinding]:
    path = file.path
    if path.suffix == ".yml":
        text = "the Agent's container image copies only *.yaml from a mounted /conf.d: rename it to .yaml"
        yield FileFinding("warning", path, text)
    if config.more.get("cluster_check") is True:
        return
    everywhere = "every node submits the same series, gauges overwrite each other and distribution points multiply"
    if daemonset:
        yield FileFinding("warning", path, f"on a DaemonSet {everywhere}: set it to true", None, "cluster_check")
    elif "ad_identifiers" in config.more:
        text = f"a check runs beside each matching container, on each node, so that {everywhere}"
        yield FileFinding("warning", path, text, None, "ad_identifiers")


def _about_an_instance(
    config: AgentConfig, given: Mapping[str, Any], file: ConfFile
) -> Iterator[tuple[str | None, str]]:
    yield from _about_hosts(given)
    yield from _about_tags(given, config, file.path)
    yield from _about_time(given)
    yield from _about_secrets(given, file.path)
    yield from _about_filters(given)
    yield from _about_names(given)
    yield from _about_keys(given, file.definition)
    if config.more.get("cluster_check") is True:
        yield from _about_local_paths(given, file.definition)


def _about_hosts(given: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    if given.get("empty_default_hostname") is not True:
        text = "is not true: every series gets its Agent's host, and becomes another one when the check moves"
        yield "empty_default_hostname", text


def _about_tags(given: Mapping[str, Any], config: AgentConfig, path: Path) -> Iterator[tuple[str | None, str]]:
    configured = given.get("tags")
    tags = [text for text in configured if isinstance(text, str)] if isinstance(configured, list) else []
    keys = keys_of(tags)
    if "env" not in keys and not os.environ.get("DD_ENV") and not _env_of_the_agent(path):
        text = "no `env:` tag anywhere, nor DD_ENV, nor the Agent's `env`: dashboards cannot tell environments apart"
        yield "tags", text
    if is_affirmative(given.get("disable_generic_tags")):
        text = "the Agent's base class renames `env:`, `version:` and `service:` to names with the check's in front"
        yield "disable_generic_tags", f"{text}, so that dashboards and monitors by `env` are empty: remove it"
    for key in sorted(HOST_TAGS & keys):
        yield "tags", f"`{key}:` ties figures that belong to no host to one, and adds its host tags to each series"
    if "service" in keys and agent_tags(given, config.init_config):
        yield "tags", "`service:` is set by the option `service` too: each series carries both"
    for text in tags:
        if ":" not in text:
            yield "tags", f"`{text}` has no value: write it as key:value, else it cannot be grouped by"


def _env_of_the_agent(path: Path) -> bool:
    """Whether the `datadog.yaml` beside the `conf.d` that holds `path` sets `env`."""
    for folder in path.absolute().parents:
        if folder.name == "conf.d":
            main_file = folder.parent / "datadog.yaml"
            try:
                document = read_yaml(main_file) if main_file.is_file() else None
            except YamlFileError:
                return False
            return isinstance(document, dict) and bool(document.get("env"))
    return False


def _about_filters(given: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """Telemetry that `metric_patterns`, by which the base class filters, leaves out."""
    patterns = given.get("metric_patterns")
    if not isinstance(patterns, Mapping):
        return
    try:
        include, exclude = (
            [re.compile(text) for text in patterns.get(key) or () if text] for key in ("include", "exclude")
        )
    except (re.error, TypeError):
        return
    up = "metta.check.up"
    if any(one.search(up) for one in exclude) or (include and not any(one.search(up) for one in include)):
        yield "metric_patterns", f"leaves out `{up}`: nothing shows when the check is down"


def _about_names(given: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """Patterns of `projects` and `repos` that were written as shell patterns, or with an owner."""
    for option in ("projects", "repos"):
        names = given.get(option)
        if not isinstance(names, Mapping):
            continue
        for part in ("include", "exclude"):
            entries = names.get(part)
            for entry in entries if isinstance(entries, list) else ():
                yield from ((option, text) for text in (slips(part, entry) if isinstance(entry, str) else ()))


def _about_keys(given: Mapping[str, Any], definition: CheckDefinition) -> Iterator[tuple[str | None, str]]:
    """The key of a single object in S3 that has the form of a folder's."""
    for option in definition.path_options:
        value = given.get(option)
        if isinstance(value, str) and value.startswith("s3://") and not re.search(r"(?:\.json|/|[*?\]].*)$", value):
            yield option, "is one object, without the ending .json: for a folder of documents end it with `/`"


def _about_time(given: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    interval = given.get("min_collection_interval", AGENT_INTERVAL)
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        return
    if "min_collection_interval" not in given:
        yield "min_collection_interval", f"is not set: the check would run every {AGENT_INTERVAL} s"
    elif interval > LONGEST_INTERVAL:
        text = (
            f"{interval} s is longer than the {LONGEST_INTERVAL} s over which Datadog draws a gauge: graphs get holes"
        )
        yield "min_collection_interval", text
    timeout = given.get("collection_timeout", DEFAULT_TIMEOUT)
    if isinstance(timeout, int | float) and timeout > interval and "min_collection_interval" in given:
        text = f"a collection may take {timeout:g} s and the next is due after {interval} s: it would be skipped"
        yield "collection_timeout", text


def _about_secrets(given: Mapping[str, Any], path: Path) -> Iterator[tuple[str | None, str]]:
    plain = [option for option in SECRETS if _is_plain(given.get(option))]
    for option in plain:
        yield option, "the file contains a plain secret: use ENC[...], the environment or AWS Secrets Manager"
    for option, value in given.items():
        if any(_USER_IN_URL.search(text) for text in _texts_in(value)):
            yield str(option), "an address holds a password: it is shown wherever the address is"
            plain.append(str(option))
    if plain and path.stat().st_mode & stat.S_IROTH:
        yield plain[0], "every user of this machine can read the file: chmod 640, with the Agent's group"


def _is_plain(value: object) -> bool:
    if not isinstance(value, str) or not value.strip() or is_variable(value.strip()):
        return False
    return not (value.startswith("ENC[") and value.endswith("]"))


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for text in value.values() if isinstance(text, str))


def _about_local_paths(given: Mapping[str, Any], definition: CheckDefinition) -> Iterator[tuple[str | None, str]]:
    for option in definition.path_options:
        value = given.get(option)
        if isinstance(value, str) and "://" not in value:
            yield option, "a cluster check runs on any runner, which has no such file: use s3:// or https://"

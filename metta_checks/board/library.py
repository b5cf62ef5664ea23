"""The dashboards and monitors that come with the package, and how they leave it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from metta_checks.board.document import Dashboard, parse_board, parse_json
from metta_checks.core.atomic_write import make_folder, write_file

Kind = Literal["dashboards", "monitors"]

KINDS: Final[tuple[Kind, ...]] = ("dashboards", "monitors")

FIRST: Final = "health_wall"
"""The dashboard for the wall comes before the others."""

APP: Final = "https://app.datadoghq.com"
"""The web interface to which the messages' links lead, in the files of this package."""

RUNBOOK: Final = "https://example.com/runbook"
"""The place of the runbook's address in the files of this package."""

PAGING: Final = "urgency:page"
"""The tag of monitors that page; the others make tickets."""

OPTIONAL: Final = "optional:true"
"""The tag of monitors that are exported and created on request only: their threshold is everybody's own."""


def names(kind: Kind) -> tuple[str, ...]:
    """What there is of a kind, by file name without its ending."""
    found = {entry.name.removesuffix(".json") for entry in files("metta_checks.board").joinpath(kind).iterdir()}
    return tuple(sorted(found, key=lambda name: (name != FIRST, name)))


def text_of(kind: Kind, name: str) -> str:
    """The JSON of one dashboard or monitor."""
    return files("metta_checks.board").joinpath(kind, f"{name}.json").read_text(encoding="utf-8")


def dashboard(name: str) -> Dashboard:
    """One of our dashboards. Raises KeyError, with the names there are, for an unknown one."""
    if name not in names("dashboards"):
        raise KeyError(f"there is no dashboard {name!r}; there are {', '.join(names('dashboards'))}")
    parsed = parse_board(parse_json(text_of("dashboards", name)))
    if not isinstance(parsed, Dashboard):
        raise TypeError(f"{name} is no dashboard")
    return parsed


def export(
    directory: Path,
    *,
    page_to: str = "",
    ticket_to: str = "",
    site: str = "",
    runbook: str = "",
    with_optional: bool = False,
) -> Iterator[Path]:
    """Write everything into `directory`, a folder for each kind, ready to be imported; optional monitors only
    `with_optional`. Raises WriteError.

    The handles (`@pagerduty-…`, `@slack-…`) end the messages: `page_to` those that page, `ticket_to` the others. `site`
    (`datadoghq.eu`) and `runbook` (an address) are where their links lead; without a runbook there is no link to one.
    """
    for kind in KINDS:
        make_folder(directory / kind)
        for name in names(kind):
            path = directory / kind / f"{name}.json"
            text = text_of(kind, name)
            if kind == "monitors" and not with_optional and OPTIONAL in parse_json(text)["tags"]:
                continue
            write_file(path, _addressed(text, page_to, ticket_to, site, runbook) if kind == "monitors" else text)
            yield path


def _addressed(text: str, page_to: str, ticket_to: str, site: str, runbook: str) -> str:
    monitor = parse_json(text)
    handle = page_to if PAGING in monitor["tags"] else ticket_to
    message = monitor["message"].replace(APP, app_address(site)) if site else monitor["message"]
    message = message.replace(RUNBOOK, runbook) if runbook else message.replace(f" · [Runbook]({RUNBOOK})", "")
    monitor["message"] = f"{message}\n\n{handle}" if handle else message
    return json.dumps(monitor, indent=2, ensure_ascii=False) + "\n"


def app_address(site: str) -> str:
    """Where the web interface of a Datadog site is: `app.` stands before a site that has no other name before it."""
    return f"https://{site}" if site.count(".") > 1 else f"https://app.{site}"

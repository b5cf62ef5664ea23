"""Compares all plays with their recordings, or records them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from golden_support.player import perform
from golden_support.plays import PLAYS
from golden_support.recording import Recording, load, save
from golden_support.review import Difference, differences, review

RECORDINGS: Final = Path(__file__).parents[2] / "recordings"


def path_of(name: str) -> Path:
    return RECORDINGS / f"{name}.jsonl.gz"


def compared(name: str) -> tuple[Recording, list[Difference]]:
    """The play as it is now, and all in which it differs from its recording. Raises FileNotFoundError without one."""
    now = perform(PLAYS[name])
    return now, differences(load(path_of(name)), now)


def main(action: str, names: Sequence[str], write: Callable[[str], object]) -> int:
    """The exit status: 1 where something differs from its recording, 2 for a play that does not exist."""
    if unknown := [name for name in names if name not in PLAYS]:
        write(f"no such play: {', '.join(unknown)}; there are {', '.join(PLAYS)}\n")
        return 2
    differ = 0
    for name in names or PLAYS:
        if action == "record":
            write(_record(name))
        elif not path_of(name).exists():
            write(f"{name}: not recorded yet: `python tests/golden record {name}`\n")
            differ += 1
        else:
            now, found = compared(name)
            write(review(name, found, len(now.collections)))
            differ += bool(found)
    return min(differ, 1)


def _record(name: str) -> str:
    """Writes the recording. Returns the review of what that changes."""
    path, now = path_of(name), perform(PLAYS[name])
    try:
        before = load(path)
    except FileNotFoundError:
        text = f"{name}: {len(now.collections)} collections, recorded for the first time\n"
    except ValueError as error:
        text = f"{error}\n"
    else:
        text = review(name, differences(before, now), len(now.collections))
    path.parent.mkdir(exist_ok=True)
    save(now, path)
    return text

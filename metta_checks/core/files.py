"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by a file that holds `text` in UTF-8, in one step: a reader sees the old or the new one.

    The new file is written beside the old one, synced and renamed; its mode is what a plain `open` would give.
    Raises OSError, and leaves nothing behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    # Not mkstemp, whose files are for their owner alone: the Agent is another user than whoever writes.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

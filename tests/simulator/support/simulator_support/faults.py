"""Ways in which a server answers badly: silence, single bytes, a reset connection, half an answer."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Literal

from metta_checks.simulator.server import Handler, Reply

DRIP_LIMIT_BYTES = 600
"""A dripping answer ends after this many bytes, so that no test can hang for ever."""

SILENCE_LIMIT_SECONDS = 120.0
"""A silent answer closes the connection after this long, for the same reason."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to send the real answer badly, so that a reset or a drip carries true bytes.

    - `silent`: read the request, send nothing.
    - `drip_headers`, `drip_body`: send one byte every `pause` seconds.
    - `reset_headers`, `reset_body`: a TCP reset before, or in the middle of, the body.
    - `truncate`: announce the whole body, send half, close in good order.
    """

    kind: Literal["silent", "drip_headers", "drip_body", "reset_headers", "reset_body", "truncate"]
    pause: float = 1.0

    def __call__(self, handler: Handler, head: bytes, body: bytes) -> None:
        half = body[: len(body) // 2]
        match self.kind:
            case "silent":
                handler.owner.pause(SILENCE_LIMIT_SECONDS)
            case "drip_headers":
                self._drip(handler, head)
            case "drip_body":
                handler.wfile.write(head)
                self._drip(handler, body)
            case "truncate":
                handler.wfile.write(head + half)
            case "reset_headers":
                _reset(handler)
            case "reset_body":
                handler.wfile.write(head + half)
                # The client must have read the headers, else this is a reset in the headers.
                handler.owner.pause(0.1)
                _reset(handler)

    def _drip(self, handler: Handler, data: bytes) -> None:
        for byte in data[:DRIP_LIMIT_BYTES]:
            handler.wfile.write(bytes([byte]))
            if not handler.owner.pause(self.pause):
                return


def _reset(handler: Handler) -> None:
    """Close with SO_LINGER 0, which makes the kernel send RST instead of FIN."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


Answer = Reply | Fault

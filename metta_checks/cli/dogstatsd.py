"""Where the local Agent listens for DogStatsD, as the environment tells every client."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 8125

UDP_DATAGRAM: Final = 1432
"""Bytes that pass through an Ethernet without being split."""

UNIX_DATAGRAM: Final = 8192
"""Bytes that the Agent reads at once (its `dogstatsd_buffer_size`); what is longer arrives cut."""


class AddressError(Exception):
    """The environment names no address that can be used."""


class NoAgentError(Exception):
    """No Agent can be at the address, or it did not take what was sent."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A Unix socket (`socket_path` is set), or a UDP address."""

    socket_path: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    scheme: str = "udp"

    def __str__(self) -> str:
        if self.socket_path is not None:
            return f"{self.scheme}://{self.socket_path}"
        return f"udp://[{self.host}]:{self.port}" if ":" in self.host else f"udp://{self.host}:{self.port}"

    @property
    def datagram_bytes(self) -> int:
        """How large a datagram may be there."""
        return UDP_DATAGRAM if self.socket_path is None else UNIX_DATAGRAM

    def require_socket(self) -> None:
        """Raises NoAgentError where a Unix socket is meant and there is none. Of UDP nothing can be known."""
        if self.socket_path is None:
            return
        path = Path(self.socket_path)
        try:
            is_socket = stat.S_ISSOCK(path.stat().st_mode)
        except FileNotFoundError:
            remedy = "is the Agent running, and `dogstatsd_socket` set to this path?"
            raise NoAgentError(f"{self}: there is no socket; {remedy}") from None
        except OSError as error:
            raise NoAgentError(f"{self}: {error.strerror or 'cannot be looked at'}") from None
        if not is_socket:
            raise NoAgentError(f"{self}: this is no socket")


def destination() -> Destination:
    """DD_DOGSTATSD_URL, else DD_AGENT_HOST and DD_DOGSTATSD_PORT, else udp://localhost:8125. Raises AddressError."""
    if os.environ.get("DD_DOGSTATSD_DISABLE", "").lower() in {"true", "yes", "1"}:
        raise AddressError("DD_DOGSTATSD_DISABLE is set, so that the DogStatsD client sends nothing: unset it to push")
    url = os.environ.get("DD_DOGSTATSD_URL", "").strip()
    if url:
        return _of_url(url)
    port = os.environ.get("DD_DOGSTATSD_PORT", "").strip()
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise AddressError("DD_DOGSTATSD_PORT is not a port number from 1 to 65535")
    host = os.environ.get("DD_AGENT_HOST", "").strip()
    return Destination(host=host or DEFAULT_HOST, port=int(port or DEFAULT_PORT))


def _of_url(url: str) -> Destination:
    wrong = AddressError("DD_DOGSTATSD_URL is not an address: write unix:///path/to/socket or udp://host:port")
    scheme, _, rest = url.partition("://")
    if scheme in {"unix", "unixgram", "unixstream"}:
        if not rest.startswith("/"):
            raise wrong
        return Destination(socket_path=rest, scheme=scheme)
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or DEFAULT_PORT
    except ValueError:
        raise wrong from None
    if scheme != "udp" or not host:
        raise wrong
    return Destination(host=host, port=port)

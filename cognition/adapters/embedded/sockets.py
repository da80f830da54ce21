"""Two questions to a Unix socket. An answer proves a server; a socket file or a process id proves nothing."""

import socket
from pathlib import Path

_TIMEOUT_SECONDS = 2.0


def answers(path: Path) -> bool:
    """Return whether a process listens on the socket."""
    return exchange(path, b"") is not None


def exchange(path: Path, request: bytes) -> bytes | None:
    """Send a request and return the first part of the reply; None if nobody listens or replies within two seconds.

    Args:
        path: The socket.
        request: What to send; empty means only to connect, and gives an empty reply.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_SECONDS)
        try:
            connection.connect(str(path))
            if not request:
                return b""
            connection.sendall(request)
            return connection.recv(64)
        except OSError:
            return None

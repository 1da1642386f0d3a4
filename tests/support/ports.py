"""Ports for servers that a test starts itself."""

import random
import socket

# Below those that Linux gives to connections (32768 and up): one of these could take a port before its server does.
_RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, drawn so that processes that test side by side draw others."""
    draw = random.SystemRandom()
    found: list[int] = []
    while len(found) < count:
        port = draw.choice(_RANGE)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

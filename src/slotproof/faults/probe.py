"""Asks a server through its link for the smallest possible answer, and says how long that took.

A port check on a proxy proves nothing, since Toxiproxy listens before its upstream is up (FACTS-stack.md section 5);
each probe therefore waits for a byte of the real server.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from slotproof.system import Link, LinkName

_POSTGRES_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_HTTP = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
_QUESTIONS = {
    LinkName.POSTGRES: _POSTGRES_SSL_REQUEST,
    LinkName.REDIS: b"PING\r\n",
    LinkName.CALCOM: _HTTP,
    LinkName.RETELL: _HTTP,
    LinkName.SERVICE: _HTTP,
}


@dataclass(frozen=True)
class Answer:
    """`latency_ms` from sending to the first byte; None when no byte came, with the reason in `failure`."""

    latency_ms: float | None
    failure: str | None = None

    def __str__(self) -> str:
        return f"answered in {self.latency_ms:.1f} ms" if self.latency_ms is not None else f"no answer: {self.failure}"


def ask(link: Link, timeout_s: float) -> Answer:
    """One question over a fresh connection through the link."""
    try:
        with socket.create_connection((link.listen.host, link.listen.port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            began = time.monotonic()
            connection.sendall(_QUESTIONS[link.name])
            if not connection.recv(1):
                return Answer(None, "closed")
            return Answer((time.monotonic() - began) * 1e3)
    except ConnectionRefusedError:
        return Answer(None, "refused")
    except TimeoutError:
        return Answer(None, "timeout")
    except OSError as error:
        return Answer(None, error.strerror or type(error).__name__)

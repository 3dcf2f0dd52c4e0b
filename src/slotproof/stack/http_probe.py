"""Asking a starting server over HTTP whether it answers."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

_TIMEOUT_S = 2.0


def get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response | None:
    """The reply to one GET, or None when there is none (refused, reset, too late).

    On an inherited socket the request waits in the backlog until the server accepts, so one question mostly suffices.
    """
    try:
        # trust_env: a proxy from the environment must not see loopback traffic.
        return httpx.get(url, headers=dict(headers or {}), timeout=_TIMEOUT_S, trust_env=False)
    except httpx.TransportError:
        return None

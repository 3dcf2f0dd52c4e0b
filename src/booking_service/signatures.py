"""Verifies that a request was signed by Retell (FACTS-calcom-retell.md section 2.4)."""

from __future__ import annotations

import hashlib
import hmac
import re

TOLERANCE_MS = 300_000
"""A protocol constant: it does not scale."""

_HEADER = re.compile(r"v=(\d{1,20}),d=([0-9a-f]{64})")


def sign(body: bytes, api_key: str, timestamp_ms: int) -> str:
    """The value of `X-Retell-Signature`: HMAC-SHA256 over the raw body followed by the decimal timestamp."""
    return f"v={timestamp_ms},d={_digest(body, api_key, str(timestamp_ms))}"


def is_genuine(body: bytes, api_key: str, header: str | None, now_ms: int) -> bool:
    """Whether `header` signs exactly these bytes and is at most five minutes away from `now_ms`, either way."""
    match = _HEADER.fullmatch(header or "")
    if match is None:
        return False
    timestamp, digest = match.groups()
    if abs(now_ms - int(timestamp)) > TOLERANCE_MS:
        return False
    return hmac.compare_digest(_digest(body, api_key, timestamp), digest)


def _digest(body: bytes, api_key: str, timestamp: str) -> str:
    return hmac.new(api_key.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()

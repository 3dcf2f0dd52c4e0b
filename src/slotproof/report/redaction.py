"""Secrets leave no trace in folder and report (CONTRACTS.md section 6)."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(r"secret|token|passw|api_?key|credential|private_?key|authorization", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_ASSIGNMENT = re.compile(r"([\w.-]*(?:secret|token|passw|api_?key|credential|private_?key)[\w.-]*[= ])(\S+)", re.I)


def redacted(value: Any) -> Any:
    """A copy of a JSON-like value in which nothing named like a secret, and no password of a URL, is left."""
    if isinstance(value, dict):
        return {key: REDACTED if _is_secret(str(key), item) else redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """The same for one text, such as a command line: `--set api_key=…` and `http://user:password@host`."""
    return _USER_INFO.sub(f"{REDACTED}@", _ASSIGNMENT.sub(rf"\1{REDACTED}", text))


def _is_secret(key: str, value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list) and bool(_SECRET_NAME.search(key))

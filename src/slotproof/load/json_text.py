"""JSON as it goes over the wire: compact, in UTF-8."""

from __future__ import annotations

import json


def encode(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

"""Signs what the voice platform sends, as Retell does (FACTS-calcom-retell.md section 2.4).

Independent of the reference service's verifier, so that an error in one of the two shows.
"""

from __future__ import annotations

import hmac

HEADER = "X-Retell-Signature"


def sign(body: bytes, api_key: str, timestamp_ms: int) -> str:
    """The header's value: `v=<unix ms>,d=<hex HMAC-SHA256 of body and timestamp>`."""
    message = body + str(timestamp_ms).encode()
    return f"v={timestamp_ms},d={hmac.digest(api_key.encode(), message, 'sha256').hex()}"

"""The harness refuses to hurt strangers (DESIGN.md section 6).

Loopback is always allowed. Any other host must be named in `allow_hosts` of the scenario and on the command line.
Production Cal.com and Retell hosts are refused outright.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from slotproof.errors import UnsafeTargetError

_NEVER = ("cal.com", "retellai.com")


def is_loopback(host: str) -> bool:
    """True for `localhost`, 127.0.0.0/8 and ::1. Names are not resolved: a resolver may lie."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_safe(url: str, where: str, allowed_hosts: Collection[str] = ()) -> None:
    """Refuse a target that could hurt a stranger.

    Raises:
        UnsafeTargetError: no host, a production host of a vendor, or a host that nobody allowed.
    """
    host = (urlsplit(url).hostname or "").lower()
    if not host:
        raise UnsafeTargetError(f"{url!r} names no host", where=where, hint="write it as http://127.0.0.1:8080")
    if any(host == vendor or host.endswith(f".{vendor}") for vendor in _NEVER):
        raise UnsafeTargetError(
            f"{host} is a vendor's production host", where=where, hint="load is never sent there; use the stubs"
        )
    if not is_loopback(host) and host not in allowed_hosts:
        raise UnsafeTargetError(
            f"{host} is not a loopback address", where=where, hint="load goes to 127.0.0.1, ::1 or localhost only"
        )

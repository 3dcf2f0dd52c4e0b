"""Load goes to loopback only; vendors' production hosts are refused whatever is allowed."""

from __future__ import annotations

import pytest

from slotproof.errors import UnsafeTargetError
from slotproof.safety import require_safe


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://localhost", "http://[::1]:8080", "http://127.8.9.1"])
def test_loopback_is_allowed(url: str) -> None:
    require_safe(url, "test")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://example.com",
        "http://localhost.example.com",
        "nonsense",
        "http://0.0.0.0",
        "http://2130706433",
    ],
)
def test_strangers_are_refused(url: str) -> None:
    with pytest.raises(UnsafeTargetError) as caught:
        require_safe(url, "file.yaml:3")
    assert caught.value.where == "file.yaml:3"
    assert caught.value.exit_code == 2


def test_an_allowed_host_is_allowed() -> None:
    require_safe("http://staging.example.com", "test", allowed_hosts={"staging.example.com"})


@pytest.mark.parametrize("url", ["https://api.cal.com/v2", "https://api.retellai.com"])
def test_vendors_are_refused_even_when_allowed(url: str) -> None:
    with pytest.raises(UnsafeTargetError, match="production host"):
        require_safe(url, "test", allowed_hosts={"api.cal.com", "api.retellai.com"})

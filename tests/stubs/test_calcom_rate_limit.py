"""Window and block by an own clock (FACTS-calcom-retell.md section 1.9)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from calcom_stub.rate_limit import RateLimiter


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> int:
        return round(self.now_s * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_number_limit_plus_one_starts_a_block_of_60_s(clock: Clock) -> None:
    limiter = RateLimiter(3, clock)
    assert [limiter.admit("a").admitted for _ in range(4)] == [True, True, True, False]
    assert limiter.blocked_until_ns() == clock() + 60 * 10**9

    clock.now_s += 59.5
    blocked = limiter.admit("a")
    assert (blocked.admitted, blocked.remaining, blocked.reset_s) == (False, 0, 1)
    assert limiter.admit("b").admitted, "a block is one tracker's"

    clock.now_s += 0.5
    assert limiter.blocked_until_ns() == 0
    assert limiter.admit("a").remaining == 2


def test_a_window_starts_with_its_first_request_and_ends_after_60_s(clock: Clock) -> None:
    limiter = RateLimiter(2, clock)
    assert limiter.admit("a").reset_s == 60
    clock.now_s += 59
    assert limiter.admit("a").reset_s == 1
    clock.now_s += 1
    assert limiter.admit("a").admitted, "a new window, though two requests lie in the last minute"


def test_requests_of_the_last_minute_are_those_of_the_busiest_tracker(clock: Clock) -> None:
    limiter = RateLimiter(10, clock)
    for tracker in ("a", "a", "b"):
        limiter.admit(tracker)
    assert limiter.requests_last_min() == 2
    clock.now_s += 60
    assert limiter.requests_last_min() == 0


def test_five_minutes_over_the_limit_cost_the_account_for_good(clock: Clock) -> None:
    limiter = RateLimiter(3, clock)
    began_s = clock.now_s
    while not limiter.admit("a").suspended:
        assert limiter.suspended() == 0
        clock.now_s += 10
    assert clock.now_s - began_s == 30 + 300, "the fourth request within a minute was the first too many"
    assert limiter.suspended() == 1
    clock.now_s += 3600
    assert not limiter.admit("a").admitted
    assert limiter.admit("b").admitted, "an account is one tracker's"


def test_a_pause_below_the_limit_saves_the_account(clock: Clock) -> None:
    limiter = RateLimiter(3, clock, suspend_after_s=100)
    for _ in range(3):
        for _ in range(10):
            assert not limiter.admit("a").suspended
            clock.now_s += 9
        clock.now_s += 61


def test_a_limit_below_one_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimiter(0, clock)

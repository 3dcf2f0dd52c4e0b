"""A stop condition fires when its figure stayed above its limit for its time, scaled, and not before."""

from __future__ import annotations

from slotproof.plan.experiment import StopCondition
from slotproof.stopping import StopWatch


def test_it_fires_only_after_the_whole_time_above_the_limit() -> None:
    now = [0.0]
    condition = StopCondition(measure="calls_in_progress", above=10, for_s=30)
    watch = StopWatch([condition], time_scale=10, now_s=lambda: now[0])
    assert watch.look({"in_progress": 11}) is None
    now[0] = 2.9
    assert watch.look({"in_progress": 11}) is None
    assert watch.look({"in_progress": 10}) is None  # back under the limit: the time starts anew
    now[0] = 3.1
    assert watch.look({"in_progress": 11}) is None
    now[0] = 6.2
    assert "calls_in_progress stayed above 10 for 30 s" in str(watch.look({"in_progress": 11}))


def test_the_unanswered_share_needs_ops() -> None:
    condition = StopCondition(measure="unanswered_share", above=0.5, for_s=1)
    watch = StopWatch([condition], time_scale=10, now_s=iter([0.0, 1.0, 2.0]).__next__)
    assert watch.look({}) is None
    assert watch.look({"ops": 10, "errors": 6}) is None
    assert watch.look({"ops": 10, "errors": 6}) is not None

"""Starts calls when they are due, however slow the system is (an open loop), and counts what becomes of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gevent.event import Event
from locust.env import Environment

from slotproof.load.arrivals import Arrival
from slotproof.load.caller import PhoneCaller
from slotproof.load.setting import CallStopped, Setting

_log = logging.getLogger(__name__)


class Calls:
    """Each call is one instance of the callers' class in a greenlet of its own."""

    def __init__(self, setting: Setting, environment: Environment, caller_class: type[PhoneCaller]) -> None:
        self.started = 0
        self.done = 0
        self.crashed = 0
        self._setting = setting
        self._environment = environment
        self._caller_class = caller_class
        self._idle = Event()
        self._idle.set()

    @property
    def in_progress(self) -> int:
        return self.started - self.done

    def start_when_due(self, arrivals: Sequence[Arrival]) -> None:
        """Returns when the last call has begun, or the load has been told to stop."""
        for arrival in arrivals:
            try:
                self._setting.wait_until(arrival.due_ns)
            except CallStopped:
                return
            self.started += 1
            self._idle.clear()
            self._setting.greenlets.spawn(self._serve, arrival)

    def wait_all_done(self, timeout_s: float) -> bool:
        """Whether all calls in progress ended within the time."""
        return bool(self._idle.wait(timeout_s))

    def end_all(self, timeout_s: float) -> None:
        """Tell all calls to end; whatever still runs after the time is cut off, its ops recorded as unknown."""
        self._setting.stopping.set()
        self._setting.greenlets.join(timeout_s)
        self._setting.greenlets.kill()

    def _serve(self, arrival: Arrival) -> None:
        try:
            self._caller_class(self._environment).serve(arrival)
        except Exception:  # noqa: BLE001 - one broken call must not end the others; it is counted and shown
            self.crashed += 1
            _log.exception("call %d broke off: the callers' file or the load worker has a fault", arrival.call)
        finally:
            self.done += 1
            if not self.in_progress:
                self._idle.set()

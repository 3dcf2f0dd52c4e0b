"""The stub as one object: its calls and both applications."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.applications import Starlette

from retell_stub.apps import Api, Refusals, control_app
from retell_stub.calls import Calls


def now_ms() -> int:
    """Unix time in milliseconds, as Retell stamps calls."""
    return time.time_ns() // 1_000_000


class RetellStub:
    def __init__(self, api_key: str, now_ms: Callable[[], int] = now_ms) -> None:
        self.calls = Calls(now_ms)
        refusals = Refusals()
        self.api: Starlette = Api(self.calls, api_key, refusals, now_ms).app()
        self.control: Starlette = control_app(self.calls, refusals)

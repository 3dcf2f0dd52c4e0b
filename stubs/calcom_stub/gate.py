"""What happens to every request before and around its handler: request id, rate limit, counting.

A plain ASGI wrapper, because the limit also covers paths that no route knows (FACTS-calcom-retell.md section 1.9).
"""

from __future__ import annotations

import uuid

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calcom_stub.auth import bearer_token
from calcom_stub.envelopes import error_reply
from calcom_stub.errors import suspended, throttled
from calcom_stub.rate_limit import RateLimiter


class Gate:
    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter
        self.requests_in_progress = 0
        """Requests without a complete reply; one whose client is gone counts until its work is done."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        admission = self._limiter.admit(_tracker(request))
        headers = {**admission.headers(), "X-Request-Id": str(uuid.uuid4())}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        app = self._app
        if not admission.admitted:
            app = error_reply(request, suspended() if admission.suspended else throttled())
        self.requests_in_progress += 1
        try:
            await app(scope, receive, send_with_headers)
        finally:
            self.requests_in_progress -= 1


def _tracker(request: Request) -> str:
    """An API key is limited by itself, everybody else by address."""
    token = bearer_token(request.headers)
    if token is not None:
        return f"token:{token}"
    return f"address:{request.client.host if request.client else 'unknown'}"

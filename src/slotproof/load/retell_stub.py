"""Tells the Retell stub of each call, so that the service can fetch it there (docs/interfaces.md, Retell stub)."""

from __future__ import annotations

import logging

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

_CONNECTIONS = 100
_TIMEOUT_S = 2.0
_log = logging.getLogger(__name__)


class RetellStub:
    """The control listener of the stub. Not part of the system under test: nothing here is an op."""

    def __init__(self, control_url: str) -> None:
        self._client = HTTPClient.from_url(
            control_url, concurrency=_CONNECTIONS, connection_timeout=_TIMEOUT_S, network_timeout=_TIMEOUT_S
        )

    def put(self, call_id: str, call: bytes) -> None:
        """Store the call object, given as JSON. A stub that does not take it costs the service a lookup: logged."""
        try:
            with gevent.Timeout(_TIMEOUT_S):
                reply = self._client.request(
                    "PUT", f"/control/calls/{call_id}", call, {"content-type": "application/json"}
                )
                reply.read()
                if not 200 <= reply.status_code < 300:
                    _log.warning("the Retell stub answered %s for call %s", reply.status_code, call_id)
        except (OSError, HTTPParseError, gevent.Timeout) as error:
            _log.warning("the Retell stub did not take call %s: %r", call_id, error)

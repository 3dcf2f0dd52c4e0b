"""What an integration sets up rather than books: webhooks and event types (FACTS-calcom-retell.md sections 1.2, 1.10).

Webhooks have no version of their own; event types want `cal-api-version: 2024-06-14`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from calcom_stub.auth import Keyring
from calcom_stub.envelopes import cannot, success
from calcom_stub.errors import bad_request, not_found
from calcom_stub.subscriptions import Subscriptions
from calcom_stub.validation import valid_webhook, valid_webhook_change
from calcom_stub.versions import EVENT_TYPES, requested_version
from calcom_stub.world import EventType, World


def webhook_routes(subscriptions: Subscriptions, keyring: Keyring) -> list[Route]:
    """`/v2/webhooks`: register, list, look up, change and remove those of one's own key."""

    async def create(request: Request) -> Response:
        company_id = keyring.required(request.headers)
        return success(subscriptions.add(company_id, valid_webhook(await json_body(request))).view(), status=201)

    async def listed(request: Request) -> Response:
        return success([each.view() for each in subscriptions.of(keyring.required(request.headers))])

    async def get(request: Request) -> Response:
        company_id = keyring.required(request.headers)
        return success(subscriptions.get(company_id, request.path_params["id"]).view())

    async def change(request: Request) -> Response:
        company_id = keyring.required(request.headers)
        body = valid_webhook_change(await json_body(request))
        return success(subscriptions.change(company_id, request.path_params["id"], body).view())

    async def remove(request: Request) -> Response:
        company_id = keyring.required(request.headers)
        return success(subscriptions.remove(company_id, request.path_params["id"]).view())

    one = "/v2/webhooks/{id}"
    return [
        Route("/v2/webhooks", create, methods=["POST"]),
        Route("/v2/webhooks", listed, methods=["GET"]),
        Route(one, get, methods=["GET"]),
        Route(one, change, methods=["PATCH"]),
        Route(one, remove, methods=["DELETE"]),
    ]


def event_type_routes(world: World, keyring: Keyring) -> list[Route]:
    """`/v2/event-types`: those of one's own key, and one by its id."""

    async def listed(request: Request) -> Response:
        company_id = _versioned(request, keyring)
        username, slug = request.query_params.get("username"), request.query_params.get("eventSlug")
        found = [
            _event_type_view(each)
            for each in world.event_types(company_id)
            if username in (None, each.host.username) and slug in (None, each.slug)
        ]
        return success(found)

    async def get(request: Request) -> Response:
        company_id = _versioned(request, keyring)
        text = request.path_params["id"]
        found = world.event_type(int(text)) if text.isascii() and text.isdigit() else None
        if found is None or found.host.company_id != company_id:
            raise not_found(f"Event type with id {text} not found")
        return success(_event_type_view(found))

    return [
        Route("/v2/event-types", listed, methods=["GET"]),
        Route("/v2/event-types/{id}", get, methods=["GET"]),
    ]


def _versioned(request: Request, keyring: Keyring) -> int:
    if requested_version(request.headers) != EVENT_TYPES:
        raise cannot(request)
    return keyring.required(request.headers)


def _event_type_view(event_type: EventType) -> Mapping[str, Any]:
    host = event_type.host
    return {
        "id": event_type.id,
        "ownerId": host.user_id,
        "lengthInMinutes": event_type.length_min,
        "title": event_type.title,
        "slug": event_type.slug,
        "description": "",
        "slotInterval": event_type.grid_min,
        "confirmationPolicy": {"type": "always"} if event_type.requires_confirmation else {"disabled": True},
        "users": [{"id": host.user_id, "name": host.name, "username": host.username}],
    }


async def json_body(request: Request) -> object:
    """The parsed body, None when there is none. Raises ApiError 400."""
    raw = await request.body()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise bad_request(f"Body is not valid JSON: {error}") from None

"""Who wants to be told of bookings: the webhooks of each API key (FACTS-calcom-retell.md section 1.10)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from calcom_stub.errors import BareApiError, not_found

WEBHOOK_VERSION = "2021-10-20"


class Trigger(StrEnum):
    """Those that this stub sends; the others may be subscribed to, and never come."""

    CREATED = "BOOKING_CREATED"
    REQUESTED = "BOOKING_REQUESTED"
    RESCHEDULED = "BOOKING_RESCHEDULED"
    CANCELLED = "BOOKING_CANCELLED"
    REJECTED = "BOOKING_REJECTED"


TRIGGERS = frozenset(
    {
        *Trigger,
        "BOOKING_PAYMENT_INITIATED", "BOOKING_PAID", "BOOKING_NO_SHOW_UPDATED", "MEETING_STARTED", "MEETING_ENDED",
        "INSTANT_MEETING", "RECORDING_READY", "RECORDING_TRANSCRIPTION_GENERATED", "OOO_CREATED", "FORM_SUBMITTED",
        "FORM_SUBMITTED_NO_EVENT", "ROUTING_FORM_FALLBACK_HIT", "AFTER_HOSTS_CAL_VIDEO_NO_SHOW",
        "AFTER_GUESTS_CAL_VIDEO_NO_SHOW", "DELEGATION_CREDENTIAL_ERROR", "WRONG_ASSIGNMENT_REPORT",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Subscription:
    id: str
    company_id: int
    url: str
    triggers: Sequence[str]
    active: bool
    secret: str | None = None
    payload_template: str | None = None

    def view(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "userId": self.company_id,
            "subscriberUrl": self.url,
            "triggers": list(self.triggers),
            "active": self.active,
            "payloadTemplate": self.payload_template,
            "secret": self.secret,
            "version": WEBHOOK_VERSION,
        }


class Subscriptions:
    """Of all companies; one a company and address."""

    def __init__(self) -> None:
        self._all: dict[str, Subscription] = {}

    def add(self, company_id: int, body: Mapping[str, Any]) -> Subscription:
        """Raises ApiError 409 for an address that the company has already."""
        self._refuse_known(company_id, body["subscriberUrl"])
        made = Subscription(
            id=str(uuid.uuid4()),
            company_id=company_id,
            url=body["subscriberUrl"],
            triggers=tuple(body["triggers"]),
            active=body["active"],
            secret=body.get("secret"),
            payload_template=body.get("payloadTemplate"),
        )
        self._all[made.id] = made
        return made

    def of(self, company_id: int) -> list[Subscription]:
        return [each for each in self._all.values() if each.company_id == company_id]

    def get(self, company_id: int, webhook_id: str) -> Subscription:
        """Raises ApiError 404, for another company's too."""
        found = self._all.get(webhook_id)
        if found is None or found.company_id != company_id:
            raise not_found(f"Webhook with id={webhook_id} not found")
        return found

    def change(self, company_id: int, webhook_id: str, body: Mapping[str, Any]) -> Subscription:
        """Raises ApiError 404, and 409 for an address that another one of the company has."""
        known = self.get(company_id, webhook_id)
        if body.get("subscriberUrl", known.url) != known.url:
            self._refuse_known(company_id, body["subscriberUrl"])
        names = {"subscriberUrl": "url", "payloadTemplate": "payload_template"}
        self._all[webhook_id] = replace(
            known, **{names.get(name, name): value for name, value in body.items() if name != "version"}
        )
        return self._all[webhook_id]

    def remove(self, company_id: int, webhook_id: str) -> Subscription:
        """Raises ApiError 404."""
        found = self.get(company_id, webhook_id)
        del self._all[webhook_id]
        return found

    def wanting(self, company_id: int, trigger: Trigger) -> list[Subscription]:
        return [each for each in self.of(company_id) if each.active and trigger in each.triggers]

    def _refuse_known(self, company_id: int, url: str) -> None:
        if any(each.url == url for each in self.of(company_id)):
            text = "Invalid Input: Trying to create a record that already exists."
            raise BareApiError(409, text, code="CONFLICT")

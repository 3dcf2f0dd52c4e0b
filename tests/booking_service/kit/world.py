"""A small world: two companies; the first one's people work the whole day, every day."""

from __future__ import annotations

from typing import Any

PHONE = "+493012345001"
OTHER_PHONE = "+493012345002"
SERVICE = 1
COLOUR = 2
"""45 minutes, 45 minutes in which the person is free, and 30 minutes; only Anna offers it."""
ANNA, BEA, CLEO = 1, 2, 3


def _event_type(number: int, service: int, length_min: int, offset_min: int = 0) -> dict[str, Any]:
    slug = f"service-{service}-{offset_min}"
    return {"id": number, "slug": slug, "service_id": service, "length_min": length_min, "offset_min": offset_min}


def _person(number: int, name: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "email": f"{name.lower()}@example.com",
        "calcom_user_id": 1000 + number,
        "calcom_username": name.lower(),
        "opens_min": 540,
        "closes_min": 1080,
        "event_types": [_event_type(5000 + number, SERVICE, 45), *more],
    }


def _branch(number: int, phone: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    haircut = {"id": SERVICE, "name": "Haircut", "duration_min": 45, "grid_min": 15}
    colour = {"id": COLOUR, "name": "Colour", "duration_min": 120, "grid_min": 15}
    return {
        "id": number,
        "name": f"Branch {number}",
        "phone": phone,
        "time_zone": "Europe/Berlin",
        "services": [haircut, colour],
        "people": people,
    }


WORLD: dict[str, Any] = {
    "anchor_date": "2027-03-01",
    "companies": [
        {
            "id": 1,
            "name": "Salon Weber",
            "calcom_api_key": "cal_weber",
            "branches": [
                _branch(
                    1,
                    PHONE,
                    [
                        _person(ANNA, "Anna", _event_type(6001, COLOUR, 45), _event_type(6002, COLOUR, 30, 90)),
                        _person(BEA, "Bea"),
                    ],
                )
            ],
        },
        {
            "id": 2,
            "name": "Studio Kurz",
            "calcom_api_key": "cal_kurz",
            "branches": [_branch(2, OTHER_PHONE, [_person(CLEO, "Cleo")])],
        },
    ],
}

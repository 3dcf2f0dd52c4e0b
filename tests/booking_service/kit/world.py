"""A small world: two companies; the first one's people work the whole day, every day."""

from __future__ import annotations

from typing import Any

PHONE = "+493012345001"
OTHER_PHONE = "+493012345002"
SERVICE = 1
ANNA, BEA, CLEO = 1, 2, 3


def _person(number: int, name: str) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "email": f"{name.lower()}@example.com",
        "calcom_user_id": 1000 + number,
        "calcom_username": name.lower(),
        "opens_min": 540,
        "closes_min": 1080,
        "event_types": [{"id": 5000 + number, "slug": "haircut-45", "service_id": SERVICE, "length_min": 45}],
    }


def _branch(number: int, phone: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    service = {"id": SERVICE, "name": "Haircut", "duration_min": 45, "grid_min": 15}
    return {
        "id": number,
        "name": f"Branch {number}",
        "phone": phone,
        "time_zone": "Europe/Berlin",
        "services": [service],
        "people": people,
    }


WORLD: dict[str, Any] = {
    "anchor_date": "2027-03-01",
    "companies": [
        {
            "id": 1,
            "name": "Salon Weber",
            "calcom_api_key": "cal_weber",
            "branches": [_branch(1, PHONE, [_person(ANNA, "Anna"), _person(BEA, "Bea")])],
        },
        {
            "id": 2,
            "name": "Studio Kurz",
            "calcom_api_key": "cal_kurz",
            "branches": [_branch(2, OTHER_PHONE, [_person(CLEO, "Cleo")])],
        },
    ],
}

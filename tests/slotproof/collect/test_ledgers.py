"""Rows of the real sources, as the record keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.booking_service.kit.servers import CalcomStub, calcom_stub, postgres
from tests.booking_service.kit.world import ANNA, WORLD

from booking_service import schema
from slotproof.collect.ledgers import CalendarLedger, DatabaseLedger, LedgerRow, pending_rows, save_ledger
from slotproof.errors import RecordError
from slotproof.plan.world import World
from slotproof.record.arrow_files import read_stream
from slotproof.record.clock import ClockPair
from slotproof.record.schemas import LEDGER, RowState
from slotproof.system import Address

CLOCK = ClockPair(monotonic_ns=1_000_000_000, utc_ns=1_795_356_190_000_000_000)
STARTS = datetime(2027, 3, 1, 9, tzinfo=UTC)
ENDS = STARTS + timedelta(minutes=45)
_COLUMNS = "at, appointment_id, calcom_uid, request_ref, call_ref, phone, company_id, person_id, starts_at, ends_at"


@pytest.fixture
def world_file(tmp_path: Path) -> Path:
    path = tmp_path / "world.json"
    path.write_text(json.dumps(WORLD))
    return path


@pytest.fixture
def calcom(world_file: Path) -> Iterator[CalcomStub]:
    with calcom_stub(world_file, time_scale=20) as stub:
        yield stub


async def test_the_database_history_keeps_order_times_and_keys(tmp_path: Path) -> None:
    seen_at = datetime.fromtimestamp(CLOCK.utc_ns / 1e9, UTC) + timedelta(seconds=2)
    identity = "6f2f9a52-7b3e-4f8e-9d55-0c5b3a3f4c11"
    with postgres() as server:
        connection = await asyncpg.connect(f"{server}/postgres")
        await schema.prepare(connection, overlaps_excluded=True)
        for state, actor, uid, request in (
            ("pending", "caller", None, "17"),
            ("live", "service", "u1", "by hand"),
            ("live", "service", "u2", "17/3"),
            ("live", "service", "u3", "17/x"),
        ):
            await connection.execute(
                f"INSERT INTO appointment_history ({_COLUMNS}, state, actor) "
                "VALUES ($1, $2, $3, $4, 'call_1', '+491', 1, 2, $5, $6, $7, $8)",
                *(seen_at, identity, uid, request, STARTS, ENDS, state, actor),
            )
        await connection.close()
        rows = DatabaseLedger(f"{server}/postgres", CLOCK).read()
    assert rows[0] == {
        "row": identity,
        "uid": None,
        "replaces": None,
        "request": 17,
        "call_ref": "call_1",
        "phone": "+491",
        "tenant": "1",
        "person": "2",
        "start_s": int(STARTS.timestamp()),
        "end_s": int(ENDS.timestamp()),
        "state": "pending",
        "actor": "caller",
        "at_ns": pytest.approx(3_000_000_000, abs=1000),
        "reason": None,
    }
    assert [(row["state"], row["actor"], row["uid"], row["request"]) for row in rows][1] == (
        "live",
        "service",
        "u1",
        None,  # a reference that is no number of ours joins by other keys
    )
    assert [row["request"] for row in rows] == [17, None, 19, None]  # 17/3: the third part of a service
    _survives_its_file(tmp_path, rows)


def test_the_calendar_of_the_real_stub_keeps_lineage_and_actor(
    tmp_path: Path, world_file: Path, calcom: CalcomStub
) -> None:
    headers = {"Authorization": "Bearer cal_weber", "cal-api-version": "2024-08-13"}
    with httpx.Client(base_url=calcom.url, headers=headers, trust_env=False) as api:
        booked = api.post(
            "/v2/bookings",
            json={
                "start": "2027-03-01T09:00:00Z",
                "eventTypeId": 5000 + ANNA,
                "attendee": {
                    "name": "Erika",
                    "email": "e@example.com",
                    "timeZone": "UTC",
                    "phoneNumber": "+493012345678",
                },
                "metadata": {"request_id": "17", "call_id": "call_1"},
            },
        ).json()["data"]
        moved = api.post(f"/v2/bookings/{booked['uid']}/reschedule", json={"start": "2027-03-01T11:00:00Z"}).json()
        uid = moved["data"]["uid"]
        api.post(f"/v2/bookings/{uid}/cancel", json={"cancellationReason": "compensation: nobody holds it"})
    rows = CalendarLedger(_address(calcom.control_url), World.load(world_file)).read()
    first, last = rows[0], rows[-1]
    assert (first["uid"], first["request"], first["call_ref"], first["person"]) == (booked["uid"], 17, "call_1", "1")
    assert (first["tenant"], first["state"], first["actor"]) == ("1", "live", "caller")
    assert (first["start_s"], first["end_s"]) == (int(STARTS.timestamp()), int(ENDS.timestamp()))
    assert next(row["replaces"] for row in rows if row["uid"] == uid) == booked["uid"]
    assert (last["uid"], last["state"], last["actor"]) == (uid, "cancelled", "service")
    assert [row["at_ns"] for row in rows] == sorted(row["at_ns"] for row in rows)
    _survives_its_file(tmp_path, rows)


def test_a_source_that_does_not_answer_is_an_error(world_file: Path, unused_tcp_port: int) -> None:
    with pytest.raises(RecordError, match="calendar's ledger cannot be read"):
        CalendarLedger(Address("127.0.0.1", unused_tcp_port), World.load(world_file)).read()
    with pytest.raises(RecordError, match="database's history cannot be read"):
        DatabaseLedger(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x", CLOCK).read()


def test_only_rows_that_are_pending_at_their_end_are_pending() -> None:
    history = [("a", RowState.PENDING), ("b", RowState.PENDING), ("a", RowState.LIVE), ("c", RowState.CANCELLED)]
    assert pending_rows([{"row": row, "state": state.value} for row, state in history]) == 1


def test_an_empty_ledger_is_a_ledger(tmp_path: Path) -> None:
    _survives_its_file(tmp_path, [])


def _survives_its_file(tmp_path: Path, rows: list[LedgerRow]) -> None:
    path = tmp_path / "ledger.arrow"
    save_ledger(path, rows)
    stream = read_stream(path, LEDGER, "ledger")
    assert stream.complete
    assert stream.table.to_pylist() == rows


def _address(url: str) -> Address:
    parts = httpx.URL(url)
    assert parts.port is not None
    return Address(parts.host, parts.port)

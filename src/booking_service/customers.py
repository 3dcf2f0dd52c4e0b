"""Customers: one per phone number and company."""

from __future__ import annotations

from booking_service.pool import Connection


async def remember(connection: Connection, company_id: int, phone: str, name: str) -> int:
    """The customer's id; a new name replaces the old one."""
    customer_id: int = await connection.fetchval(
        """
        INSERT INTO customers (company_id, phone, name) VALUES ($1, $2, $3)
        ON CONFLICT (company_id, phone) DO UPDATE SET name = excluded.name
        RETURNING id
        """,
        company_id,
        phone,
        name,
    )
    return customer_id

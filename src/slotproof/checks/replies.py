"""What callers were told of a time was true (CONTRACTS.md sections 3.8 and 3.9), as far as replies can be judged.

False refusal: "taken" though nothing can have held the time. False free: offered though it was held all the while.
Inconsistent: replies that no order of events explains together. All are of the promise class, and what is not decided
of them is named without standing in the way of a verdict.
"""

from __future__ import annotations

from slotproof.checks.base import CheckResult, Undecided
from slotproof.checks.bookings import resolve
from slotproof.checks.conclude import conclude
from slotproof.checks.orders import REPLIES, decide_orders
from slotproof.record.record import Record


class Replies:
    name = "replies"
    kinds = REPLIES

    def __call__(self, record: Record) -> CheckResult:
        resolved = resolve(record)
        orders = decide_orders(resolved)
        findings = list(orders.findings(self.name, REPLIES)) if resolved.at_rest else []
        result = conclude(resolved, findings, resolved.undecided)
        finer = tuple(
            Undecided(each.resource, each.reason)
            for each in orders.result.not_decided
            if each.resource not in ("ledger", "exercised")
        )
        return CheckResult(result.status, result.findings, result.undecided + finer, result.exercised)

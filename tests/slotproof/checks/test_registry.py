from __future__ import annotations

from slotproof.checks.base import FindingKind
from slotproof.checks.registry import all_checks


def test_the_bundled_checks_come_through_their_entry_points_in_a_fixed_order() -> None:
    names = [check.name for check in all_checks()]
    assert names == sorted(names)
    assert {"divergent_booking", "double_booking", "lost_booking", "phantom_booking"} <= set(names)


def test_no_two_bundled_checks_claim_one_kind() -> None:
    kinds: list[FindingKind] = [kind for check in all_checks() for kind in check.kinds]
    assert len(kinds) == len(set(kinds))

"""What the bundled target can be switched to: names of flaws and profiles, with what each is good for."""

from __future__ import annotations

from collections.abc import Mapping

from booking_service.flaws import CATALOGUE, PROFILES


def flaws() -> dict[str, str]:
    """Every flaw by name, with what is wrong in one line."""
    return {flaw.value: facts.what_is_wrong for flaw, facts in CATALOGUE.items()}


def profiles() -> Mapping[str, frozenset[str]]:
    """Every profile by name, with the flaws that it switches on."""
    return {name: frozenset(flaw.value for flaw in members) for name, members in PROFILES.items()}

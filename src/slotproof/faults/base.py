"""What a fault is: inject, verify, heal, describe (CONTRACTS.md section 7). One kind of breakage per file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

from slotproof.errors import FaultError
from slotproof.system import System

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock by which something must have happened."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return max(0.0, self.at_s - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.at_s

    def require(self, what: str) -> None:
        """Raise FaultError when the deadline has passed."""
        if self.passed:
            raise FaultError(f"{what} did not happen in time")


@dataclass(frozen=True)
class ReadBack:
    """What the injected part says of itself after a change: the attributes as they really are."""

    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Effect:
    """What was observed at the dependency, and what would prove the fault (or its end)."""

    bitten: bool
    observed: str
    required: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Fault(Protocol[P]):
    """One use of a fault in one run; it may keep what it holds between inject and heal.

    Every method may raise FaultError or ToxiproxyError. `heal` is idempotent. `Params` is a pydantic model with
    `extra="forbid"` whose figures are life-size.
    """

    name: ClassVar[str]
    Params: type[P]

    def inject(self, system: System, params: P, deadline: Deadline) -> ReadBack: ...

    def verify(self, system: System, params: P) -> Effect: ...

    def heal(self, system: System, params: P, deadline: Deadline) -> ReadBack: ...

    def verify_healed(self, system: System, params: P) -> Effect: ...

    def describe(self, params: P) -> str: ...

"""What the page says of each fault: when it was on, how it was proven, and what callers met meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slotproof.plan.plan import Plan
from slotproof.record.record import FaultSpan, Record
from slotproof.record.schemas import Kind, Outcome
from slotproof.report.redaction import redacted
from slotproof.report.requests import Requests
from slotproof.report.text import clean, count, counted, seconds, significant
from slotproof.report.verdict_json import fault_status

_STATUS = {
    "proven": ("✓", "good", "proven and healed"),
    "bitten": ("!", "invalid", "bit, healing not verified"),
    "not_bitten": ("!", "invalid", "no effect seen"),
    "not_injected": ("!", "invalid", "never injected"),
}


@dataclass(frozen=True)
class FaultView:
    name: str
    sentence: str
    planned: str
    seen: str
    required: str
    observed: str
    word: str
    icon: str
    tone: str
    during: str


def fault_views(plan: Plan, record: Record, requests: Requests) -> list[FaultView]:
    """One a declared fault, in the order of planning."""
    return [_view(span, plan, record, requests) for span in record.fault_spans]


def _view(span: FaultSpan, plan: Plan, record: Record, requests: Requests) -> FaultView:
    uses = plan.experiment.faults if plan.experiment else ()
    use = next((use for use in uses if use.id == span.fault_id), None)
    icon, tone, word = _STATUS[fault_status(span)]
    effect = redacted(dict(span.effect))
    return FaultView(
        name=span.fault_id,
        sentence=span.sentence or span.fault,
        planned=_stretch(use.at_s, use.until_s) if use else "",
        seen=_on_words(span, record),
        required=_words(effect.pop("required", None)),
        observed=_words(effect.pop("observed", None)) or _words(effect),
        word=word,
        icon=icon,
        tone=tone,
        during=_met_by_callers(span, requests),
    )


def _on_words(span: FaultSpan, record: Record) -> str:
    if span.injected_ns is None:
        return "never"
    start_s = record.life_s(span.injected_ns)
    if span.healed_ns is None:
        return f"{seconds(start_s)}, not healed"
    return _stretch(start_s, record.life_s(span.healed_ns))


def _stretch(start_s: float, end_s: float) -> str:
    """`120.1–300.2 s`."""
    return f"{seconds(start_s).removesuffix(' s')}–{seconds(end_s)}"


def _met_by_callers(span: FaultSpan, requests: Requests) -> str:
    """Bookings asked for while the fault was on, and what was answered."""
    if span.injected_ns is None:
        return ""
    until = span.healed_ns if span.healed_ns is not None else np.iinfo(np.int64).max
    rows = requests.of_kind(Kind.BOOK)
    rows = rows.where((rows.invoke_ns >= span.injected_ns) & (rows.invoke_ns < until))
    told = {outcome: int((rows.outcome == outcome.value).sum()) for outcome in Outcome}
    return (
        f"{counted(len(rows), 'booking attempt')}: {count(told[Outcome.OK])} confirmed, "
        f"{count(told[Outcome.TAKEN])} taken, {count(told[Outcome.NONE])} not served, "
        f"{count(told[Outcome.PENDING] + told[Outcome.UNKNOWN])} undecided"
    )


def _words(value: Any) -> str:
    """A read-back value as words."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_words(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, float):
        return significant(value)
    return "" if value is None else clean(str(value))

"""Figures, times and words as a reader sees them, the same in every report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from slotproof.checks.base import CheckStatus, FindingKind
from slotproof.judgement import Verdict
from slotproof.plan.objective import Measure, Objective, Statistic
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus, ValidityStatus

NOTHING = "–"

KIND_WORDS: dict[FindingKind, str] = {
    FindingKind.DOUBLE_BOOKING: "sold twice",
    FindingKind.LOST_BOOKING: "lost booking",
    FindingKind.PHANTOM_BOOKING: "phantom booking",
    FindingKind.DIVERGENT_BOOKING: "divergent booking",
    FindingKind.LOST_CANCEL: "lost cancel",
    FindingKind.RESURRECTED_BOOKING: "resurrected booking",
    FindingKind.DUPLICATE_BOOKING: "duplicate booking",
    FindingKind.CLAIMED_TWICE: "claimed twice",
    FindingKind.IMPOSSIBLE_MOVES: "impossible moves",
    FindingKind.OVER_CAPACITY: "over capacity",
    FindingKind.FOREIGN_DATA: "foreign data",
    FindingKind.INCONSISTENT_REPLIES: "inconsistent replies",
    FindingKind.TRANSIENT_OVERLAP: "transient overlap",
    FindingKind.FALSE_REFUSAL: "false refusal",
    FindingKind.UNSELLABLE: "unsellable time",
    FindingKind.FALSE_FREE: "false free",
    FindingKind.BROKEN_PROMISE: "broken promise",
    FindingKind.STUCK_PENDING: "stuck pending",
}

OBJECTIVE_WORDS: dict[ObjectiveStatus, str] = {
    ObjectiveStatus.MET: "met",
    ObjectiveStatus.MISSED: "missed",
    ObjectiveStatus.INCONCLUSIVE: "too few to tell",
    ObjectiveStatus.NO_DATA: "no data",
    ObjectiveStatus.NOT_APPLICABLE: "not part of this run",
}

CHECK_WORDS: dict[CheckStatus, str] = {
    CheckStatus.PASS: "passed",
    CheckStatus.VIOLATION: "broken",
    CheckStatus.NOT_DECIDED: "not decided",
    CheckStatus.NOT_EXERCISED: "not exercised",
}

VALIDITY_WORDS: dict[ValidityStatus, str] = {
    ValidityStatus.VALID: "valid",
    ValidityStatus.INVALID: "invalid",
    ValidityStatus.TOO_SHORT: "too short",
    ValidityStatus.UNKNOWN: "not known",
}

Status = Verdict | ObjectiveStatus | CheckStatus | ValidityStatus

_ICONS: dict[Status, str] = {
    Verdict.GO: "✓",
    Verdict.NO_GO: "✕",
    Verdict.INCONCLUSIVE: "?",
    Verdict.INVALID: "!",
    ObjectiveStatus.MET: "✓",
    ObjectiveStatus.MISSED: "✕",
    ObjectiveStatus.INCONCLUSIVE: "?",
    ObjectiveStatus.NO_DATA: "?",
    ObjectiveStatus.NOT_APPLICABLE: NOTHING,
    CheckStatus.PASS: "✓",
    CheckStatus.VIOLATION: "✕",
    CheckStatus.NOT_DECIDED: "?",
    CheckStatus.NOT_EXERCISED: NOTHING,
    ValidityStatus.VALID: "✓",
    ValidityStatus.INVALID: "!",
    ValidityStatus.TOO_SHORT: "?",
    ValidityStatus.UNKNOWN: "?",
}

_TONES = {"✓": "good", "✕": "bad", "!": "invalid", "?": "unsure", NOTHING: "quiet"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def icon(status: Status) -> str:
    return _ICONS[status]


def tone(status: Status) -> str:
    """One of good, bad, invalid, unsure, quiet: what colours mean in every report."""
    return _TONES[_ICONS[status]]


def clean(text: str) -> str:
    """Text from outside without control characters, on one line; it may stand in a terminal and in XML."""
    return _CONTROL.sub("", text.replace("\r", " ").replace("\n", " ").replace("\t", " "))


def count(n: int) -> str:
    return f"{n:,}"


def counted(n: int, singular: str, plural: str | None = None) -> str:
    """`1 call`, `2 calls`."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def joined(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(parts)
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def significant(value: float, digits: int = 3) -> str:
    """Fixed notation with about `digits` significant digits, no needless zeros."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def milliseconds(value: float) -> str:
    """`41 ms`, `2.4 s`: seconds from one second on."""
    return f"{significant(value, 2 if value < 10 else 3)} ms" if value < 999.5 else f"{significant(value / 1000)} s"


def seconds(value: float) -> str:
    """`52.4 s`: tenths, from a thousand on whole seconds."""
    return f"{value:,.1f} s" if abs(value) < 999.95 else f"{value:,.0f} s"


def duration(value: float) -> str:
    """`45 s`, `7 min 30 s`, `2 h 5 min`."""
    total = round(value)
    if total < 120:
        return f"{significant(value) if value < 10 else total} s"
    hours, rest = divmod(total, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n)


def percent(share: float) -> str:
    """`97.4 %`; more digits next to 0 and 1, where they matter."""
    distance = min(abs(share), abs(1 - share))
    decimals = 1 if distance == 0 or distance >= 0.005 else 2
    text = f"{share * 100:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def figure(measure: Measure, value: float | None) -> str:
    """A value of a measure with its unit."""
    if value is None:
        return NOTHING
    match measure:
        case Measure.LATENCY_MS | Measure.LATENCY_NET_MS:
            return milliseconds(value)
        case Measure.ANSWERED_WITHIN_S | Measure.SERVED | Measure.HONOURED:
            return percent(value)
        case Measure.GOODPUT_PER_S:
            return f"{significant(value)}/s"
        case Measure.CALCOM_REQUESTS_PER_MIN:
            return significant(value, 4)


def limit_text(objective: Objective) -> str:
    """`< 100 ms`, `> 95 %`."""
    if objective.below is not None:
        return f"< {figure(objective.measure, objective.below)}"
    return f"> {figure(objective.measure, objective.above)}"


def interval_text(result: ObjectiveResult) -> str:
    """`38–45 ms`, with the unit once when both ends share it; a dash when there is no interval."""
    low, high = result.ci_low, result.ci_high
    if low is None and high is None:
        return NOTHING
    measure = result.objective.measure
    low_text, high_text = figure(measure, low), figure(measure, high)
    if low is None or high is None:
        return f"≤ {high_text}" if low is None else f"≥ {low_text}"
    low_number, _, low_unit = low_text.partition(" ")
    return f"{low_number}–{high_text}" if low_unit == high_text.partition(" ")[2] else f"{low_text}–{high_text}"


def objective_title(objective: Objective) -> str:
    """`Webhook answered, p95`, `Booking answered, within 10 s`; nothing that the title says itself."""
    title = objective.title or objective.id
    if objective.statistic not in (Statistic.SHARE, Statistic.RATE, Statistic.MAX):
        title += f", {objective.statistic}"
    if objective.limit_s is not None and "within" not in title:
        title += f", within {significant(objective.limit_s)} s"
    return title


def unit(measure: Measure) -> str:
    """The unit of a measure's figures in verdict.json."""
    match measure:
        case Measure.LATENCY_MS | Measure.LATENCY_NET_MS:
            return "ms"
        case Measure.ANSWERED_WITHIN_S | Measure.SERVED | Measure.HONOURED:
            return "share"
        case Measure.GOODPUT_PER_S:
            return "requests/s"
        case Measure.CALCOM_REQUESTS_PER_MIN:
            return "requests/min"


def caller(call: int) -> str:
    """`caller 412`, as the sentences of findings say it."""
    return f"caller {call}"


def utc_stamp(moment: datetime) -> str:
    """ISO 8601 in UTC to the second, ending in Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def local_range(start_s: int, end_s: int, time_zone: str) -> str:
    """`Tue 2 Mar 10:15–11:00` in the branch's time zone."""
    zone = ZoneInfo(time_zone)
    start, end = datetime.fromtimestamp(start_s, zone), datetime.fromtimestamp(end_s, zone)
    return f"{start:%a} {start.day} {start:%b %H:%M}–{end:%H:%M}"


def clock_range(start_s: int, end_s: int, time_zone: str) -> str:
    """`10:15–11:00` in the branch's time zone."""
    zone = ZoneInfo(time_zone)
    return f"{datetime.fromtimestamp(start_s, zone):%H:%M}–{datetime.fromtimestamp(end_s, zone):%H:%M}"

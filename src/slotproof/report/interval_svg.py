"""An objective's interval against its limit: dot = observed, thick line = 95 % interval, upright = limit."""

from __future__ import annotations

from markupsafe import Markup

from slotproof.plan.objective import Measure
from slotproof.report.drawing import level, pct, rect, svg, upright
from slotproof.report.text import figure, interval_text, limit_text, tone
from slotproof.slo.results import ObjectiveResult

_HEIGHT = 26.0
_MIDDLE = 13.0
_FARTHEST = 5.0  # a value farther off than this many limits is drawn as an arrow at the edge
_SHARES = (Measure.ANSWERED_WITHIN_S, Measure.SERVED, Measure.HONOURED)


def draw_interval(result: ObjectiveResult, id: str) -> Markup | None:
    """The small drawing of one row, or None when nothing was observed."""
    objective, observed = result.objective, result.observed
    limit = objective.below if objective.below is not None else objective.above
    if observed is None or limit is None:
        return None
    low, high = _range(result, limit, observed)

    def x(value: float) -> float:
        return 2 + min(max((value - low) / (high - low), 0.0), 1.0) * 96

    good = (2.0, x(limit)) if objective.below is not None else (x(limit), 98.0)
    css = tone(result.status)
    parts = [rect(good[0], good[1], _MIDDLE - 4, 8, "allowed", radius=2)]
    if result.ci_low is not None or result.ci_high is not None:
        start = x(result.ci_low) if result.ci_low is not None else 2.0
        end = x(result.ci_high) if result.ci_high is not None else 98.0
        parts.append(level(start, max(end, start + 0.4), _MIDDLE, f"interval {css}"))
    parts.append(upright(x(limit), 3, _HEIGHT - 3, "limit"))
    parts.append(_value(x(observed), observed > high, css))
    description = (
        f"observed {figure(objective.measure, observed)}, 95 % interval {interval_text(result)}, "
        f"limit {limit_text(objective)}"
    )
    return svg(_HEIGHT, "Interval and limit", description, id, parts, "interval-bar")


def _value(x: float, beyond: bool, css: str) -> Markup:
    if beyond:
        return Markup(
            f'<svg x="{pct(x)}" y="{_MIDDLE:g}" overflow="visible">'
            f'<path d="M-7 -6 L3 0 L-7 6 Z" class="value {css}"/></svg>'
        )
    return Markup(f'<circle cx="{pct(x)}" cy="{_MIDDLE:g}" r="5" class="value {css}"/>')


def _range(result: ObjectiveResult, limit: float, observed: float) -> tuple[float, float]:
    """What the drawing spans: for shares up to 1, else from 0 to a little beyond what there is to see."""
    known = [value for value in (limit, observed, result.ci_low, result.ci_high) if value is not None]
    if result.objective.measure in _SHARES:
        low = min(known)
        return max(0.0, low - max(0.02, (1 - low) * 0.35)), 1.0
    farthest = max(known)
    if limit > 0 and farthest > limit * _FARTHEST:
        return 0.0, limit * _FARTHEST
    return 0.0, max(farthest, limit) * 1.3 or 1.0

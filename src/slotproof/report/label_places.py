"""Where a line's name stands inside a chart: next to its line, away from the other lines and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 48
_GAP = 3.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, origin at the lower left."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlap(self, other: Box) -> float:
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return width * height if width > 0 and height > 0 else 0.0


def place_names(
    lines: Sequence[tuple[Floats, Floats]], widths: Sequence[float], height: float, area: Box, taken: Sequence[Box]
) -> list[Box | None]:
    """For each line (x and y in pixels, NaN = gap) the box of its name, or None for a line without points.

    Of places above and below the line the one with the least overlap of other lines and names is chosen; of equals
    the highest, since lines are told apart best at their peaks.
    """
    placed: list[Box] = list(taken)
    result: list[Box | None] = []
    for index, ((x, y), width) in enumerate(zip(lines, widths, strict=True)):
        known = np.isfinite(y)
        if not known.any():
            result.append(None)
            continue
        others = [lines[other] for other in range(len(lines)) if other != index]
        box = _best(x[known], y[known], others, placed, width, height, area)
        placed.append(box)
        result.append(box)
    return result


def _best(
    x: Floats, y: Floats, others: Sequence[tuple[Floats, Floats]], placed: Sequence[Box], width: float, height: float,
    area: Box,
) -> Box:  # fmt: skip
    last = max(area.x0, area.x1 - width)
    best, least = Box(area.x0, area.y0, area.x0 + width, area.y0 + height), np.inf
    for left in np.linspace(area.x0, last, _STEPS):
        if left + width / 2 < x[0] or left + width / 2 > x[-1]:
            continue
        under = (x >= left) & (x <= left + width)
        ys = y[under] if under.any() else np.array([np.interp(left + width / 2, x, y)])
        highest, lowest = float(ys.max()), float(ys.min())
        for bottom, near in ((highest + _GAP, highest), (lowest - _GAP - height, lowest)):
            if bottom < area.y0 or bottom + height > area.y1:
                continue
            box = Box(float(left), bottom, float(left) + width, bottom + height)
            cost = sum(40.0 + box.overlap(other) for other in placed if box.overlap(other))
            cost += sum(_crossing(box, *other, x, y) for other in others)
            cost += 0.1 * (highest - lowest) + 0.3 * (area.y1 - near)
            if cost < least:
                best, least = box, cost
    return best


def _crossing(box: Box, x: Floats, y: Floats, own_x: Floats, own_y: Floats) -> float:
    """How much another line disturbs a box: a lot where it crosses it, not at all where it runs with the own line."""
    under = (x >= box.x0 - 4) & (x <= box.x1 + 4) & np.isfinite(y)
    under &= np.abs(y - np.interp(x, own_x, own_y)) > _GAP
    if not under.any():
        return 0.0
    distance = np.maximum(0.0, np.maximum(box.y0 - y[under], y[under] - box.y1))
    return float(np.sum(np.exp(-distance / 5.0)) * 30.0)

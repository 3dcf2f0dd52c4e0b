"""Draws a witness: callers, locks and ledgers as lanes under one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from slotproof.report.drawing import (
    Placed,
    Window,
    level,
    place_text,
    rect,
    rows_of,
    svg,
    symbol,
    text_percent,
    time_axis,
    upright,
    words,
)
from slotproof.report.text import seconds
from slotproof.report.witness import Bar, Lane, Mark, Moment, Shape, Witness

_ROW = 36.0
_MARK_ROW = 24.0
_HEAD_ROW = 17.0
_PADDING = 6.0
_START = "M0 -5 L0 5"
_SHAPES = {
    Shape.DIAMOND: "M0 -6.5 L6.5 0 L0 6.5 L-6.5 0 Z",
    Shape.CROSS: "M-5 -5 L5 5 M-5 5 L5 -5",
    Shape.RING: "M-5 0 A5 5 0 1 0 5 0 A5 5 0 1 0 -5 0 Z",
}


@dataclass(frozen=True)
class LaneName:
    """A lane's name beside the drawing: `top` and `height` in pixels."""

    title: str
    note: str
    top: float
    height: float


@dataclass(frozen=True)
class WitnessDrawing:
    svg: Markup
    height: float
    names: tuple[LaneName, ...]


def draw_witness(witness: Witness, id: str) -> WitnessDrawing:
    window = Window(witness.start_s, witness.end_s)
    heads = _head_texts(witness, window)
    head_rows = rows_of([placed.low_high for placed in heads])
    top = (max(head_rows, default=0) + 1) * _HEAD_ROW + 6
    lanes = [_LaneDrawing(lane, window) for lane in witness.lanes]
    bottom = top + sum(lane.height for lane in lanes)
    parts = [*_bands(witness, window, top, bottom)]
    for head, row in zip(heads, head_rows, strict=True):
        if head.is_moment:
            parts.append(upright(head.at, (row + 1) * _HEAD_ROW - 1, bottom, "moment"))
    names, y = [], top
    for lane in lanes:
        parts += [level(0, 100, y, "lane-line"), *lane.parts(y)]
        names.append(LaneName(lane.lane.title, lane.lane.note, y, lane.height))
        y += lane.height
    for head, row in zip(heads, head_rows, strict=True):
        css = "moment-words" if head.is_moment else "band-words"
        parts.append(words(head.text, head.placed.x, (row + 1) * _HEAD_ROW - 4, css, head.placed.anchor))
    parts.append(time_axis(window.ticks(), bottom))
    height = bottom + 26
    drawing = svg(height, witness.heading, _description(witness), id, parts, "witness")
    return WitnessDrawing(drawing, height, tuple(names))


@dataclass(frozen=True)
class _Head:
    """A text above the lanes: a fault's name, or what a moment is."""

    text: str
    at: float
    placed: Placed
    is_moment: bool

    @property
    def low_high(self) -> tuple[float, float]:
        return self.placed.low, self.placed.high


def _head_texts(witness: Witness, window: Window) -> list[_Head]:
    heads = []
    for band in witness.bands:
        start, end = window.percent(band.start_s), window.percent(band.end_s)
        text = band.label if text_percent(band.label) < 100 else band.fault_id
        heads.append(_Head(text, start, place_text(text, start, end), False))
    for moment in sorted(witness.moments, key=lambda moment: moment.at_s):
        heads.append(_moment_head(moment, window))
    return heads


def _moment_head(moment: Moment, window: Window) -> _Head:
    x = window.percent(moment.at_s)
    width = text_percent(moment.text)
    if x - width >= 0:
        return _Head(moment.text, x, Placed(x, "end", x - width, x), True)
    return _Head(moment.text, x, place_text(moment.text, x, x), True)


def _bands(witness: Witness, window: Window, top: float, bottom: float) -> list[Markup]:
    parts = []
    for band in witness.bands:
        start, end = window.percent(band.start_s), window.percent(band.end_s)
        parts.append(rect(start, end, top, bottom - top, "band"))
        edges = [start] * (band.start_s > witness.start_s) + [end] * (band.end_s < witness.end_s)
        parts += [upright(x, top, bottom, "band-edge") for x in edges]
    return parts


class _LaneDrawing:
    """One lane; things that would overlap get rows of their own."""

    def __init__(self, lane: Lane, window: Window) -> None:
        self.lane = lane
        self._window = window
        self._labels = [self._bar_label(bar) for bar in lane.bars]
        self._bar_rows = rows_of([self._bar_stretch(bar) for bar in lane.bars])
        self._marks = [self._mark_text(mark) for mark in lane.marks]
        self._mark_rows = rows_of([self._mark_stretch(mark) for mark in lane.marks])
        bars = (max(self._bar_rows) + 1) * _ROW if lane.bars else 0.0
        marks = (max(self._mark_rows) + 1) * _MARK_ROW if lane.marks else 0.0
        self.height = max(bars + marks, 30.0) + _PADDING

    def parts(self, top: float) -> list[Markup]:
        parts: list[Markup] = []
        for bar, row in zip(self.lane.bars, self._bar_rows, strict=True):
            parts += self._bar(bar, top + _PADDING / 2 + row * _ROW)
        for mark, row in zip(self.lane.marks, self._mark_rows, strict=True):
            parts += self._mark(mark, top + _PADDING / 2 + row * _MARK_ROW + _MARK_ROW / 2)
        return parts

    def _span(self, bar: Bar) -> tuple[float, float]:
        return self._window.percent(bar.start_s), self._window.percent(bar.end_s)

    @staticmethod
    def _bar_label(bar: Bar) -> str:
        return f"{bar.label} → {bar.ends}" if bar.ends else bar.label

    def _bar_stretch(self, bar: Bar) -> tuple[float, float]:
        start, end = self._span(bar)
        placed = place_text(self._bar_label(bar), start, end)
        return min(start, placed.low), max(end, placed.high)

    def _bar(self, bar: Bar, top: float) -> Sequence[Markup]:
        start, end = self._span(bar)
        placed = place_text(self._bar_label(bar), start, end)
        css = f"bar tone-{bar.tone}{' soft' if bar.soft else ''}{' open' if bar.open_end else ''}"
        height = 7.0 if bar.soft else 12.0
        return [
            words(self._bar_label(bar), placed.x, top + 13, "label", placed.anchor),
            rect(start, end, top + 18, height, css, radius=2),
        ]

    def _mark_text(self, mark: Mark) -> Placed:
        x = self._window.percent(mark.at_s)
        width = text_percent(mark.label)
        if x + 1.5 + width <= 100:
            return Placed(x, "start", x, x + 1.5 + width)
        return Placed(x, "end", x - 1.5 - width, x)

    def _mark_stretch(self, mark: Mark) -> tuple[float, float]:
        placed, x = self._mark_text(mark), self._window.percent(mark.at_s)
        since = x if mark.since_s is None else self._window.percent(mark.since_s)
        return min(placed.low, x - 1, since - 1), max(placed.high, x + 1)

    def _mark(self, mark: Mark, y: float) -> list[Markup]:
        x, placed = self._window.percent(mark.at_s), self._mark_text(mark)
        parts = []
        if mark.since_s is not None:
            since = self._window.percent(mark.since_s)
            tone = f"tone-{mark.tone}"
            parts += [level(since, x, y, f"work {tone}"), symbol(since, y, _START, f"work-start {tone}")]
            label_end = placed.low if placed.anchor == "end" else x
            if since + 2 + text_percent(mark.since_label) < label_end:
                parts.append(words(mark.since_label, since, y + 4, "label quiet", dx=6))
        parts.append(symbol(x, y, _SHAPES[mark.shape], f"mark {mark.shape} tone-{mark.tone}"))
        dx = 11 if placed.anchor == "start" else -11
        parts.append(words(mark.label, placed.x, y + 4, "label", placed.anchor, dx=dx))
        return parts


def _description(witness: Witness) -> str:
    """The drawing in words, lane by lane."""
    parts = [witness.sentence, *([witness.cause] if witness.cause else [])]
    for lane in witness.lanes:
        things = [f"{bar.label} {seconds(bar.start_s)} to {seconds(bar.end_s)} {bar.ends}".strip() for bar in lane.bars]
        things += [f"{mark.label} at {seconds(mark.at_s)}" for mark in lane.marks]
        if things:
            parts.append(f"{lane.title}: {'; '.join(things)}.")
    return " ".join(parts)

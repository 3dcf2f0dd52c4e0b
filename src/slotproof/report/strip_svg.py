"""The whole run in one strip: calls in progress, faults, phases, and where each finding happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from slotproof.report.axis import Axis, Band, time_ticks
from slotproof.report.drawing import Window, level, pct, rect, svg, text_percent, time_axis, upright, words
from slotproof.report.series import Floats
from slotproof.report.text import count, counted, seconds

_HEAD = 22.0
_FAULT_ROW = 22.0
_PIN_ROW = 24.0
_PLOT = 96.0
_PIN_WIDTH = 6  # per cent that a pin needs


@dataclass(frozen=True)
class Pin:
    """One finding on the strip, numbered as in the report."""

    number: int
    at_s: float


@dataclass(frozen=True)
class StripDrawing:
    svg: Markup
    plot_top: float
    plot_height: float
    peak: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _PinGroup:
    """Findings too near to each other for pins of their own share one."""

    first: int
    last: int
    at_s: float
    until_s: float

    @property
    def text(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def draw_strip(axis: Axis, times_s: Floats, calls: Floats, pins: Sequence[Pin]) -> StripDrawing:
    window = Window(0.0, axis.end_s)
    groups = _grouped(pins, window)
    pins_top = _HEAD + len(axis.bands) * _FAULT_ROW
    plot_top = pins_top + (_PIN_ROW if groups else 6)
    bottom = plot_top + _PLOT
    peak = max(1, int(calls.max()) if len(calls) else 1)
    parts = [
        *_shades(axis, window, plot_top, bottom),
        *_phases(axis, window),
        _area(calls, peak, plot_top),
        level(0, 100, plot_top, "grid"),
    ]
    for row, band in enumerate(axis.bands):
        y = _HEAD + row * _FAULT_ROW
        start, end = window.percent(band.start_s), window.percent(band.end_s)
        parts += [
            rect(start, end, y, _FAULT_ROW - 4, "fault-bar", radius=3),
            _fault_name(_band_words(band), start, end, y),
        ]
    for group in groups:
        parts.append(_pin(group, window, pins_top, bottom))
    ticks = [(window.percent(tick), f"{tick:,.10g} s") for tick in time_ticks(axis.end_s, 12)]
    parts.append(time_axis(ticks, bottom))
    return StripDrawing(
        svg(bottom + 26, "The whole run", _description(axis, peak, pins), "strip", parts, "strip"),
        plot_top,
        _PLOT,
        peak,
        tuple(_band_words(band) for band in axis.bands),
    )


def _shades(axis: Axis, window: Window, top: float, bottom: float) -> list[Markup]:
    parts = []
    if axis.warm_up_s > 0:
        parts.append(rect(0, window.percent(axis.warm_up_s), top, bottom - top, "warm-up"))
    for band in axis.bands:
        parts.append(rect(window.percent(band.start_s), window.percent(band.end_s), top, bottom - top, "band"))
    edges = sorted({edge for band in axis.bands for edge in (band.start_s, band.end_s)})
    parts += [upright(window.percent(edge), _HEAD, bottom, "band-edge") for edge in edges]
    if axis.load_end_s < axis.end_s:
        parts.append(upright(window.percent(axis.load_end_s), top, bottom, "load-end"))
    return parts


def _phases(axis: Axis, window: Window) -> list[Markup]:
    """Names of the stretches above the strip, each in the middle of its own; those without room are left out."""
    first = min((band.start_s for band in axis.bands), default=axis.load_end_s)
    last = max((band.end_s for band in axis.bands), default=axis.load_end_s)
    stretches = [("warm-up", 0.0, axis.warm_up_s), ("steady", axis.warm_up_s, first)]
    if axis.bands:
        stretches += [("fault" if len(axis.bands) == 1 else "faults", first, last), ("after", last, axis.load_end_s)]
    stretches.append(("drain", axis.load_end_s, axis.end_s))
    parts = []
    for name, start, end in stretches:
        low, high = window.percent(start), window.percent(end)
        if high - low > text_percent(name) * 0.9:
            parts.append(words(name, (low + high) / 2, 13, "phase", "middle"))
    return parts


def _band_words(band: Band) -> str:
    return band.label if band.healed else f"{band.label} (not healed)"


def _fault_name(text: str, start: float, end: float, y: float) -> Markup:
    """From the bar's start on, beyond its end if need be; the page's end is never crossed. Phones list the names."""
    if start + text_percent(text) <= 100:
        return words(text, start, y + 13, "fault-words", dx=8)
    return words(text, end, y + 13, "fault-words", "end", dx=-8)


def _area(calls: Floats, peak: int, top: float) -> Markup:
    """The curve in a coordinate system of its own that stretches with the page."""
    if len(calls) < 2:
        return Markup("")
    step = 1000 / (len(calls) - 1)
    points = " ".join(f"{index * step:.1f},{100 - value / peak * 100:.1f}" for index, value in enumerate(calls))
    return Markup(
        f'<svg x="0" y="{top:g}" width="100%" height="{_PLOT:g}" viewBox="0 0 1000 100" preserveAspectRatio="none">'
        f'<polygon points="0,100 {points} 1000,100" class="area"/><polyline points="{points}" class="curve"/></svg>'
    )


def _grouped(pins: Sequence[Pin], window: Window) -> list[_PinGroup]:
    groups: list[_PinGroup] = []
    for pin in sorted(pins, key=lambda pin: pin.number):
        last = groups[-1] if groups else None
        if (
            last
            and last.last + 1 == pin.number
            and 0 <= window.percent(pin.at_s) - window.percent(last.at_s) < _PIN_WIDTH
        ):
            groups[-1] = _PinGroup(last.first, pin.number, last.at_s, max(last.until_s, pin.at_s))
        else:
            groups.append(_PinGroup(pin.number, pin.number, pin.at_s, pin.at_s))
    return groups


def _pin(group: _PinGroup, window: Window, top: float, bottom: float) -> Markup:
    x = window.percent(group.at_s)
    half = max(10.0, 5 + 3.6 * len(group.text))
    label = f"finding {group.text} at {seconds(group.at_s)}"
    return Markup(
        f'<a href="#finding-{group.first}" aria-label="{escape(label)}">{upright(x, top + 10, bottom, "pin-line")}'
        f'<svg x="{pct(x)}" y="{top + 10:g}" overflow="visible">'
        f'<rect x="{-half:g}" y="-10" width="{2 * half:g}" height="20" rx="10" class="pin"/>'
        f'<text y="4.3" class="pin-words" text-anchor="middle">{escape(group.text)}</text></svg></a>'
    )


def _description(axis: Axis, peak: int, pins: Sequence[Pin]) -> str:
    parts = [f"At most {count(peak)} calls in progress over {seconds(axis.end_s)} life-size."]
    parts += [f"Fault {band.label}, from {seconds(band.start_s)} to {seconds(band.end_s)}." for band in axis.bands]
    if pins:
        first = min(pin.at_s for pin in pins)
        parts.append(f"{counted(len(pins), 'finding')}, the first at {seconds(first)}.")
    return " ".join(parts)

"""Small parts of drawings that stretch with the page: x in per cent, y in pixels, text always at its own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from slotproof.report.axis import nice_ticks

TYPICAL_WIDTH = 720.0
"""Plot width in pixels for which collisions of text are avoided; wider pages only get more room."""
_LETTER = 6.7


@dataclass(frozen=True)
class Window:
    """The stretch of time that a drawing shows."""

    start_s: float
    end_s: float

    def percent(self, at_s: float) -> float:
        return (min(max(at_s, self.start_s), self.end_s) - self.start_s) / (self.end_s - self.start_s) * 100

    def ticks(self, most: int = 8) -> list[tuple[float, str]]:
        """Position in per cent and words, in round life-size seconds."""
        values = nice_ticks(self.start_s, self.end_s, most)
        step = values[1] - values[0] if len(values) > 1 else 1.0
        decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
        return [(self.percent(value), f"{value + 0.0:,.{decimals}f} s") for value in values]


def text_percent(text: str) -> float:
    """Width of a text in per cent of a plot of typical width."""
    return len(text) * _LETTER / TYPICAL_WIDTH * 100


@dataclass(frozen=True)
class Placed:
    """Where a text begins or ends, and the stretch in per cent that it covers."""

    x: float
    anchor: str
    low: float
    high: float


def place_text(text: str, start: float, end: float) -> Placed:
    """Beside a thing that reaches from start to end (per cent): from its start on, unless that leaves the plot."""
    width = text_percent(text)
    if start + width <= 100:
        return Placed(start, "start", start, start + width)
    return Placed(min(end, 100.0), "end", max(0.0, min(end, 100.0) - width), min(end, 100.0))


def rows_of(stretches: Sequence[tuple[float, float]], gap: float = 1.2) -> list[int]:
    """The row of each stretch (per cent), so that no two in one row overlap; as few rows as the order allows."""
    ends: list[float] = []
    rows = []
    for low, high in stretches:
        row = next((index for index, end in enumerate(ends) if low >= end + gap), len(ends))
        if row == len(ends):
            ends.append(high)
        else:
            ends[row] = high
        rows.append(row)
    return rows


def pct(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"


def rect(start: float, end: float, y: float, height: float, css: str, radius: float = 0) -> Markup:
    rounded = f' rx="{radius:g}"' if radius else ""
    width = pct(max(end - start, 0.15))
    return Markup(f'<rect x="{pct(start)}" y="{y:g}" width="{width}" height="{height:g}" class="{css}"{rounded}/>')


def upright(x: float, y0: float, y1: float, css: str) -> Markup:
    return Markup(f'<line x1="{pct(x)}" x2="{pct(x)}" y1="{y0:g}" y2="{y1:g}" class="{css}"/>')


def level(x0: float, x1: float, y: float, css: str) -> Markup:
    return Markup(f'<line x1="{pct(x0)}" x2="{pct(x1)}" y1="{y:g}" y2="{y:g}" class="{css}"/>')


def words(text: str, x: float, y: float, css: str, anchor: str = "start", dx: float = 0) -> Markup:
    shifted = f' dx="{dx:g}"' if dx else ""
    return Markup(f'<text x="{pct(x)}" y="{y:g}" class="{css}" text-anchor="{anchor}"{shifted}>{escape(text)}</text>')


def symbol(x: float, y: float, path: str, css: str) -> Markup:
    """A small path around its own origin, put at x per cent and y pixels."""
    return Markup(f'<svg x="{pct(x)}" y="{y:g}" overflow="visible"><path d="{path}" class="{css}"/></svg>')


def time_axis(ticks: Sequence[tuple[float, str]], y: float) -> Markup:
    """A line with ticks below; each second tick carries a class so that a phone can leave it out."""
    parts = [level(0, 100, y, "axis")]
    for index, (x, text) in enumerate(ticks):
        anchor = "start" if x < 2 else "end" if x > 97 else "middle"
        parts += [
            upright(x, y, y + 4, "axis"),
            words(text, x, y + 18, "tick" if index % 2 == 0 else "tick second", anchor),
        ]
    return Markup("").join(parts)


def svg(height: float, title: str, description: str, id: str, parts: Sequence[Markup], css: str) -> Markup:
    """An inline SVG as wide as its place, with its text alternative."""
    return Markup(
        f'<svg class="{css}" width="100%" height="{height:g}" role="img" aria-labelledby="{id}-title {id}-words">'
        f'<title id="{id}-title">{escape(title)}</title><desc id="{id}-words">{escape(description)}</desc>'
        f"{Markup('').join(parts)}</svg>"
    )

"""Draws charts with matplotlib as SVG that follows light and dark: colours become CSS variables of the page.

Figures are made as objects, without pyplot's global state; text stays text, so that the page's style sheet can make
it larger on a phone. The same chart gives the same bytes (FACTS: a date or a random id would break that).
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from slotproof.report.axis import Axis, nice_ticks, time_ticks
from slotproof.report.label_places import Box, place_names
from slotproof.report.series import Chart, Line, Look, Unit

_WIDTH, _HEIGHT = 540.0, 236.0
_AREA = (58.0, 30.0, 526.0, 214.0)  # left, bottom, right, top in points
_FONT_PT = 11.5
_GLYPH = 8.2  # width of a letter on a phone, where the style sheet enlarges text

_COLOURS = {
    Look.FIRST: "#a00001",
    Look.SECOND: "#a00002",
    Look.THIRD: "#a00003",
    Look.FOURTH: "#a00004",
    Look.FIFTH: "#a00005",
    Look.FAINT: "#a00006",
}
_GRID, _AXIS, _TEXT, _LIMIT, _BAND, _BAND_EDGE, _WARM_UP = (f"#b0000{digit}" for digit in range(1, 8))
_VARIABLES = {
    **{colour: f"var(--line-{look})" for look, colour in _COLOURS.items()},
    _GRID: "var(--grid)",
    _AXIS: "var(--axis)",
    _TEXT: "var(--muted)",
    _LIMIT: "var(--ink)",
    _BAND: "var(--fault)",
    _BAND_EDGE: "var(--fault-edge)",
    _WARM_UP: "var(--warm-up)",
}
_DASHES: dict[Look, Any] = {
    Look.FIRST: "-",
    Look.SECOND: (0, (4, 1.6)),
    Look.THIRD: (0, (1, 1.3)),
    Look.FOURTH: (0, (5, 1.5, 1, 1.5)),
    Look.FIFTH: (0, (7, 2)),
    Look.FAINT: (0, (2, 2)),
}
_RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "slotproof", "font.family": "DejaVu Sans", "path.simplify": True}


def chart_svg(chart: Chart, axis: Axis) -> Markup:
    """One chart as an inline SVG element with title and description."""
    # Late: importing matplotlib looks for a home, which the command line first gives to users who have none.
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        figure.patch.set_visible(False)
        left, bottom, right, top = _AREA
        plot = figure.add_axes(
            (left / _WIDTH, bottom / _HEIGHT, (right - left) / _WIDTH, (top - bottom) / _HEIGHT), frameon=False
        )
        _Drawing(chart, axis, plot).draw()
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata=nothing)
    return _inline(buffer.getvalue(), chart)


class _Drawing:
    def __init__(self, chart: Chart, axis: Axis, plot: Any) -> None:
        self._chart = chart
        self._axis = axis
        self._plot = plot
        self._top = _top(chart)

    def draw(self) -> None:
        self._frame()
        self._shades()
        for line in self._chart.lines:
            self._line(line)
        taken = self._limits()
        self._names(taken)

    def _frame(self) -> None:
        plot, chart = self._plot, self._chart
        plot.set_xlim(0, self._axis.end_s)
        plot.set_ylim(0, self._top)
        plot.set_axis_off()
        left, bottom, _, _ = _AREA
        for tick in time_ticks(self._axis.end_s, 9):
            self._text(f"{tick:,.10g} s", self._pixel(tick, 0)[0], bottom - 18, _TEXT, anchor="center", role="tick")
        ticks = nice_ticks(0, 100 if chart.unit is Unit.PERCENT else self._top, 5)
        for tick in ticks:
            words = _tick_text(tick, ticks, chart.unit)
            self._text(words, left - 7, self._pixel(0, tick)[1] - 4, _TEXT, anchor="right", role="tick")
        plot.hlines(ticks[1:], 0, self._axis.end_s, colors=_GRID, linewidth=0.8, zorder=1)
        plot.hlines([0], 0, self._axis.end_s, colors=_AXIS, linewidth=1, zorder=4)

    def _shades(self) -> None:
        if self._axis.warm_up_s > 0:
            self._plot.axvspan(0, self._axis.warm_up_s, color=_WARM_UP, linewidth=0, zorder=0)
        for band in self._axis.bands:
            self._plot.axvspan(band.start_s, band.end_s, color=_BAND, linewidth=0, zorder=0)
        edges = {edge for band in self._axis.bands for edge in (band.start_s, band.end_s)}
        self._plot.vlines(sorted(edges), 0, self._top, colors=_BAND_EDGE, linewidth=0.9, linestyles=(0, (3, 2)))

    def _line(self, line: Line) -> None:
        self._plot.plot(
            self._chart.times_s,
            line.values,
            color=_COLOURS[line.look],
            linewidth=1.1 if line.look is Look.FAINT else 1.7,
            linestyle=_DASHES[line.look],
            solid_joinstyle="round",
            clip_on=False,
            zorder=3,
        )

    def _limits(self) -> list[Box]:
        """Each limit over its own stretch of time, its words above the longest one."""
        taken: list[Box] = []
        for limit in self._chart.limits:
            if not limit.spans:
                continue
            starts, ends = zip(*limit.spans, strict=True)
            self._plot.hlines(
                [limit.value] * len(starts),
                starts,
                ends,
                colors=_LIMIT,
                linewidth=1.2,
                linestyles=(0, (5, 2.5)),
                zorder=5,
            )
            start, _ = max(limit.spans, key=lambda span: span[1] - span[0])
            width, height = len(limit.text) * _GLYPH * 0.9, 16.0
            x, y = self._pixel(start, limit.value)
            x = min(x + 3, _AREA[2] - width)
            low = y - height - 1 if self._chart.unit is Unit.PERCENT else y + 2
            while any(Box(x, low, x + width, low + height).overlap(box) for box in taken):
                low += height
            if low + height > _AREA[3] + 12:
                low = y - height - 1
            taken.append(Box(x, low, x + width, low + height))
            self._text(limit.text, x, low + 2, _LIMIT)
        return taken

    def _names(self, taken: list[Box]) -> None:
        left, bottom, right, top = _AREA
        # The later a line is drawn, the more it matters: it gets the first choice of a place.
        lines = self._chart.lines[::-1]
        pixels = [self._pixels(line) for line in lines]
        widths = [len(line.name) * _GLYPH for line in lines]
        boxes = place_names(pixels, widths, 16.0, Box(left + 2, bottom + 2, right, top + 10), taken)
        for line, box in zip(lines, boxes, strict=True):
            if box is not None:
                self._text(line.name, box.x0, box.y0 + 3, _COLOURS[line.look], bold=True)

    def _text(
        self,
        text: str,
        x: float,
        y: float,
        colour: str,
        *,
        anchor: str = "left",
        bold: bool = False,
        role: str = "halo",
    ) -> None:
        self._plot.text(
            x / _WIDTH,
            y / _HEIGHT,
            text,
            transform=self._plot.figure.transFigure,
            color=colour,
            fontsize=_FONT_PT,
            fontweight="bold" if bold else "normal",
            horizontalalignment=anchor,
            parse_math=False,
            gid=role,
            zorder=6,
        )

    def _pixel(self, at_s: float, value: float) -> tuple[float, float]:
        left, bottom, right, top = _AREA
        return left + at_s / self._axis.end_s * (right - left), bottom + value / self._top * (top - bottom)

    def _pixels(self, line: Line) -> tuple[Any, Any]:
        left, bottom, right, top = _AREA
        x = left + self._chart.times_s / self._axis.end_s * (right - left)
        return x, bottom + line.values / self._top * (top - bottom)


def _top(chart: Chart) -> float:
    if chart.unit is Unit.PERCENT:
        return 112.0
    peaks = [float(np.nanmax(line.values)) for line in chart.lines if np.isfinite(line.values).any()]
    peaks += [limit.value for limit in chart.limits if limit.spans]
    return max([peak for peak in peaks if peak > 0], default=1.0) * 1.14


def _tick_text(tick: float, ticks: list[float], unit: Unit) -> str:
    if tick == 0:
        return "0"
    step = ticks[1] - ticks[0]
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    if unit is Unit.MILLISECONDS and ticks[-1] >= 2000:
        return f"{tick / 1000:g} s"
    separator = "" if unit in (Unit.PER_SECOND, Unit.COUNT) else " "
    return f"{tick:,.{decimals}f}{separator}{unit}"


_HEADER = re.compile(r"^.*?<svg[^>]*>", re.DOTALL)
_DROPPED = re.compile(
    r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>|<!--.*?-->| transform=\"rotate\(-0 [^)]*\)\"|"
    r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>",
    re.DOTALL,
)
_ROLE = re.compile(r'<g id="(halo|tick)"')
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(?:xlink:)?href="#([^"]+)"')
_URL = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"font(?:-size|-family)?: [^;\"]*;? ?")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")


def _inline(svg: str, chart: Chart) -> Markup:
    """The drawing without what a page does not need, with ids of its own and the page's colours."""
    body = _DROPPED.sub("", _HEADER.sub("", svg, count=1).rsplit("</svg>", 1)[0])
    body = _GROUP_ID.sub("<g", _ROLE.sub(r'<g class="\1"', body))
    body = _REFERENCE.sub(rf'href="#{chart.id}-\1"', body)
    body = _URL.sub(rf"url(#{chart.id}-\1)", body)
    body = _ID.sub(rf'id="{chart.id}-\1"', body)
    body = _FONT.sub("", body)
    body = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    body = re.sub(r"\s*\n\s*", "\n", body)
    title, words = escape(f"{chart.title} ({chart.note})"), escape(chart_sentence(chart))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-labelledby="{chart.id}-title {chart.id}-words">'
        f'<title id="{chart.id}-title">{title}</title><desc id="{chart.id}-words">{words}</desc>{body}</svg>'
    )


def chart_sentence(chart: Chart) -> str:
    """The text alternative: each line's range and latest value, each limit."""
    parts = []
    for line in chart.lines:
        known = line.values[np.isfinite(line.values)]
        if len(known):
            text = chart.unit.text
            parts.append(f"{line.name}: {text(float(known.min()))} to {text(float(known.max()))}")
    parts.extend(f"limit: {limit.text}" for limit in chart.limits)
    return "; ".join(parts) or "nothing to show"

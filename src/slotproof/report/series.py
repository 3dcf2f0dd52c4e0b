"""What the charts show, aggregated to bins of the run's time axis; numbers only, no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slotproof.judgement import Judgement
from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.objective import Measure, Objective, WaitsOn
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Kind, Outcome
from slotproof.report.axis import Axis, nice_step
from slotproof.report.requests import Requests
from slotproof.report.text import limit_text, milliseconds, seconds, significant
from slotproof.slo.windows import find_windows

Floats = NDArray[np.float64]
_MOST_BINS = 45
_MOST_ERRORS = 4
_BIN_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_OUTCOME_WORDS = {
    Outcome.OK: "confirmed",
    Outcome.TAKEN: "slot taken",
    Outcome.NONE: "not served",
    Outcome.PENDING: "pending",
    Outcome.UNKNOWN: "no answer",
}
_KIND_TITLES = {
    Kind.BOOK: "Booking",
    Kind.WEBHOOK: "Webhook",
    Kind.AVAILABILITY: "Free times",
    Kind.CANCEL: "Cancel",
    Kind.MOVE: "Reschedule",
    Kind.LOOKUP: "Lookup",
    "any": "All requests",
}
_SERVED = [Outcome.OK, Outcome.TAKEN, Outcome.NOT_HELD, Outcome.PENDING]


class Unit(StrEnum):
    """Unit of a chart's values."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    PER_SECOND = "/s"
    PERCENT = "%"
    COUNT = ""

    def text(self, value: float) -> str:
        match self:
            case Unit.SECONDS:
                return seconds(value)
            case Unit.MILLISECONDS:
                return milliseconds(value)
            case _:
                return f"{significant(value, 3)}{' ' if self is Unit.PERCENT else ''}{self}"


class Look(StrEnum):
    """How a line is drawn: each has its own colour and its own dashes, so that colour is never the only sign."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    FIFTH = "fifth"
    FAINT = "faint"


@dataclass(frozen=True)
class Line:
    name: str
    values: Floats
    look: Look


@dataclass(frozen=True)
class Limit:
    """An objective's limit, drawn over the stretches of time in which it applies."""

    text: str
    value: float
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """Lines over common times (bin centres, life-size seconds); NaN is a gap. `objectives` are those it shows."""

    id: str
    title: str
    note: str
    unit: Unit
    times_s: Floats
    bin_s: float
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bins:
    """Equal stretches of the axis; the last may reach beyond its end."""

    edges: Floats
    end_s: float

    @classmethod
    def of(cls, axis: Axis) -> Bins:
        least = axis.end_s / _MOST_BINS
        width = next((step for step in _BIN_STEPS_S if step >= least), nice_step(least))
        return cls(np.arange(0, axis.end_s + width, width, dtype=float), axis.end_s)

    @property
    def width_s(self) -> float:
        return float(self.edges[1] - self.edges[0])

    @property
    def centres(self) -> Floats:
        return np.minimum((self.edges[:-1] + self.edges[1:]) / 2, self.end_s)

    def index(self, times_s: Floats) -> NDArray[np.intp]:
        """Bin of each time; times outside the axis count to its ends."""
        found = np.searchsorted(self.edges, times_s, side="right") - 1
        return np.clip(found, 0, len(self.edges) - 2)

    def counts(self, times_s: Floats) -> Floats:
        return np.bincount(self.index(times_s), minlength=len(self.edges) - 1).astype(float)

    def quantiles(self, times_s: Floats, values: Floats, shares: tuple[float, ...]) -> list[Floats]:
        """Per share one value a bin, NaN where a bin is empty."""
        result = np.full((len(shares), len(self.edges) - 1), np.nan)
        if len(values):
            index = self.index(times_s)
            order = np.argsort(index, kind="stable")
            cuts = np.flatnonzero(np.diff(index[order])) + 1
            for chunk in np.split(order, cuts):
                result[:, index[chunk[0]]] = np.quantile(values[chunk], shares, method="inverted_cdf")
        return list(result)


def charts_of(plan: Plan, record: Record, judgement: Judgement, axis: Axis, requests: Requests) -> list[Chart]:
    """Every chart that the record can fill, those of objectives first; all share the axis and the bins."""
    maker = _Maker(plan, record, axis, requests, [result.objective for result in judgement.objectives])
    return maker.charts()


class _Maker:
    def __init__(self, plan: Plan, record: Record, axis: Axis, requests: Requests, objectives: list[Objective]) -> None:
        self._plan = plan
        self._record = record
        self._axis = axis
        self._requests = requests
        self._objectives = objectives
        self._bins = Bins.of(axis)
        self._windows = find_windows(plan, record)

    def charts(self) -> list[Chart]:
        asked = [str(objective.kind) for objective in self._objectives if _is_latency(objective)]
        kinds = dict.fromkeys([Kind.BOOK.value, Kind.WEBHOOK.value, *asked])
        charts = [self._latency(kind) for kind in kinds if len(self._of_kind(kind))]
        charts.append(self._outcomes())
        charts.extend(self._served())
        charts.append(self._errors())
        charts.append(self._arrivals())
        return [*charts, *(chart for chart in (self._calcom(), self._machine()) if chart is not None)]

    def _of_kind(self, kind: str) -> Requests:
        return self._requests if kind == "any" else self._requests.of_kind(kind)

    def _life_s(self, t_ns: NDArray[np.int64]) -> Floats:
        life: Floats = (t_ns - self._record.load_started_ns) / 1e9 * self._record.time_scale
        return life

    def _latency(self, kind: str) -> Chart:
        mine = [o for o in self._objectives if o.kind == kind and _is_latency(o)]
        default = WaitsOn.DELAYS if kind == Kind.BOOK else WaitsOn.COMPUTING
        scaled = (mine[0].waits_on if mine else default) is WaitsOn.DELAYS
        rows = self._of_kind(kind)
        per_ns = np.float64(self._record.time_scale / 1e9 if scaled else 1e-6)
        from_intended: Floats = (rows.answered_ns - rows.intended_ns) * per_ns
        raw: Floats = (rows.answered_ns - rows.invoke_ns) * per_ns
        times = self._life_s(rows.intended_ns)
        p50, p95, p99 = self._bins.quantiles(times, from_intended, (0.5, 0.95, 0.99))
        (raw_p95,) = self._bins.quantiles(times, raw, (0.95,))
        shown = [
            o for o in mine if (o.waits_on is WaitsOn.DELAYS) == scaled and o.measure is not Measure.LATENCY_NET_MS
        ]
        unit = Unit.SECONDS if scaled else Unit.MILLISECONDS
        return Chart(
            id=f"chart-{kind}-latency",
            title=f"{_KIND_TITLES[kind]}, latency",
            note=f"{'life-size' if scaled else 'wall time'}, from the intended start; raw: from the actual one",
            unit=unit,
            times_s=self._bins.centres,
            bin_s=self._bins.width_s,
            lines=(
                Line("raw p95", raw_p95, Look.FAINT),
                Line("p50", p50, Look.SECOND),
                Line("p99", p99, Look.THIRD),
                Line("p95", p95, Look.FIRST),
            ),
            limits=tuple(self._limit(o, unit) for o in shown),
            objectives=tuple(o.id for o in mine),
        )

    def _limit(self, objective: Objective, unit: Unit) -> Limit:
        if objective.measure is Measure.ANSWERED_WITHIN_S:
            assert objective.limit_s is not None
            within = f"{significant(objective.limit_s)} s"
            value = objective.limit_s * (1 if unit is Unit.SECONDS else 1000)
            return Limit(f"{limit_text(objective)} within {within}", value, self._spans(objective))
        below = objective.below if objective.below is not None else objective.above
        assert below is not None
        text = f"{objective.statistic} {limit_text(objective)}"
        return Limit(text, below / 1000 if unit is Unit.SECONDS else below, self._spans(objective))

    def _spans(self, objective: Objective) -> tuple[tuple[float, float], ...]:
        life_s = self._record.life_s
        return tuple((life_s(start), life_s(end)) for start, end in self._windows.of(objective))

    def _outcomes(self) -> Chart:
        rows = self._requests.of_kind(Kind.BOOK)
        times = self._life_s(rows.answered_ns)
        looks = dict(zip(_OUTCOME_WORDS, (Look.FIRST, Look.SECOND, Look.FOURTH, Look.FIFTH, Look.THIRD), strict=True))
        lines = []
        for outcome, word in _OUTCOME_WORDS.items():
            mask = rows.outcome == outcome.value
            if mask.any() or outcome in (Outcome.OK, Outcome.TAKEN, Outcome.UNKNOWN):
                lines.append(Line(word, self._bins.counts(times[mask]) / self._bins.width_s, looks[outcome]))
        mine = [o for o in self._objectives if o.measure in (Measure.GOODPUT_PER_S, Measure.HONOURED)]
        of_book = [o for o in mine if o.kind == Kind.BOOK and o.measure is Measure.GOODPUT_PER_S]
        return Chart(
            id="chart-outcomes",
            title="Bookings, outcomes",
            note="answers a life-size second",
            unit=Unit.PER_SECOND,
            times_s=self._bins.centres,
            bin_s=self._bins.width_s,
            lines=tuple(lines),
            limits=tuple(Limit(f"goodput {limit_text(o)}", o.above or o.below or 0.0, self._spans(o)) for o in of_book),
            objectives=tuple(o.id for o in mine if o.measure is Measure.HONOURED or o in of_book),
        )

    def _served(self) -> list[Chart]:
        """Share of requests served, and served requests a second, where an objective asks for it."""
        charts = []
        shares = [o for o in self._objectives if o.measure is Measure.SERVED]
        if shares:
            note = "share answered with ok, taken or pending"
            charts.append(self._by_kind("chart-served", "Requests served", note, shares, share=True))
        rates = [o for o in self._objectives if o.measure is Measure.GOODPUT_PER_S and o.kind != Kind.BOOK]
        if rates:
            note = "useful answers a life-size second"
            charts.append(self._by_kind("chart-goodput", "Goodput", note, rates, share=False))
        return charts

    def _by_kind(self, id: str, title: str, note: str, objectives: list[Objective], *, share: bool) -> Chart:
        looks = (Look.FIRST, Look.SECOND, Look.THIRD, Look.FOURTH, Look.FIFTH)
        kinds = list(dict.fromkeys(str(o.kind) for o in objectives))[: len(looks)]
        lines = []
        for kind, look in zip(kinds, looks, strict=False):
            rows = self._of_kind(kind)
            times = self._life_s(rows.intended_ns)
            served = self._bins.counts(times[np.isin(rows.outcome.astype(str), _SERVED)])
            total = self._bins.counts(times)
            with np.errstate(invalid="ignore"):
                values = served / total * 100 if share else served / self._bins.width_s
            lines.append(Line(_KIND_TITLES[kind].lower(), values, look))
        return Chart(
            id=id,
            title=title,
            note=note,
            unit=Unit.PERCENT if share else Unit.PER_SECOND,
            times_s=self._bins.centres,
            bin_s=self._bins.width_s,
            lines=tuple(lines),
            limits=tuple(
                Limit(
                    f"{_KIND_TITLES[o.kind].lower()} {limit_text(o)}",
                    (o.above or o.below or 0.0) * (100 if share else 1),
                    self._spans(o),
                )
                for o in objectives
            ),
            objectives=tuple(o.id for o in objectives),
        )

    def _errors(self) -> Chart:
        frame = self._record.sent_frame
        failed = frame[frame["error"].notna().to_numpy()]
        errors = failed["error"].to_numpy(object).astype(str)
        times = self._life_s(failed["complete_ns"].to_numpy(np.int64))
        words, counts = np.unique(errors, return_counts=True)
        ranked = [str(word) for word in words[np.argsort(-counts, kind="stable")]]
        looks = (Look.THIRD, Look.SECOND, Look.FIRST, Look.FOURTH)
        lines = [
            Line(word, self._bins.counts(times[errors == word]) / self._bins.width_s, look)
            for word, look in zip(ranked[:_MOST_ERRORS], looks, strict=False)
        ]
        others = np.isin(errors, ranked[_MOST_ERRORS:])
        if others.any():
            lines.append(Line("other", self._bins.counts(times[others]) / self._bins.width_s, Look.FIFTH))
        return Chart(
            id="chart-errors",
            title="Errors by class",
            note="attempts of any kind a life-size second" if lines else "no attempt failed",
            unit=Unit.PER_SECOND,
            times_s=self._bins.centres,
            bin_s=self._bins.width_s,
            lines=tuple(lines),
        )

    def _arrivals(self) -> Chart:
        planned = np.array(arrival_times_s(self._plan.scenario.load, self._plan.seed), dtype=float)
        frame = self._record.sent_frame
        first = frame.groupby("call", sort=False)["invoke_ns"].min().to_numpy(np.int64)
        width = self._bins.width_s
        return Chart(
            id="chart-arrivals",
            title="Calls begun",
            note=f"a life-size second: {len(planned):,} planned, {len(first):,} made",
            unit=Unit.PER_SECOND,
            times_s=self._bins.centres,
            bin_s=width,
            lines=(
                Line("planned", self._bins.counts(planned) / width, Look.SECOND),
                Line("made", self._bins.counts(self._life_s(first)) / width, Look.FIRST),
            ),
        )

    def _calcom(self) -> Chart | None:
        rows = self._samples("calcom", "requests_last_min")
        if rows.empty:
            return None
        # The stub's budget is N x scale in 60 s of wall time: divided by the scale it is N, as in life.
        values = rows["value"].to_numpy(float) / self._record.time_scale
        budget = float(self._plan.scenario.calcom.requests_per_min)
        mine = [o for o in self._objectives if o.measure is Measure.CALCOM_REQUESTS_PER_MIN]
        whole = ((0.0, self._axis.end_s),)
        limits = [Limit(f"budget {significant(budget, 4)} a minute", budget, whole)]
        limits += [
            Limit(f"objective {limit_text(o)}", o.below, self._spans(o))
            for o in mine
            if o.below is not None and o.below != budget
        ]
        return Chart(
            id="chart-calcom",
            title="Cal.com requests",
            note="in the last minute" + (" of wall time, by the time scale" if self._record.time_scale != 1 else ""),
            unit=Unit.COUNT,
            times_s=self._life_s(rows["t_ns"].to_numpy(np.int64)),
            bin_s=self._record.time_scale,
            lines=(Line("requests", values, Look.FIRST),),
            limits=tuple(limits),
            objectives=tuple(o.id for o in mine),
        )

    def _samples(self, source: str, metric: str) -> pd.DataFrame:
        """The samples of one figure that lie on the axis."""
        samples = self._record.samples_frame
        rows = samples[((samples["source"] == source) & (samples["metric"] == metric)).to_numpy()]
        times = self._life_s(rows["t_ns"].to_numpy(np.int64))
        return rows[(times >= 0) & (times <= self._axis.end_s)]

    def _machine(self) -> Chart | None:
        """How busy the machine was, and with whom: what the run's validity rests on."""
        own, foreign = (self._samples("machine", name) for name in ("own_cpu_cores", "foreign_cpu_cores"))
        if own.empty or len(own) != len(foreign):
            return None
        return Chart(
            id="chart-machine",
            title="CPU in use",
            note=f"cores of {self._plan.machine.cpus}, once a second of wall time",
            unit=Unit.COUNT,
            times_s=self._life_s(own["t_ns"].to_numpy(np.int64)),
            bin_s=self._record.time_scale,
            lines=(
                Line("others", foreign["value"].to_numpy(float), Look.SECOND),
                Line("this run", own["value"].to_numpy(float), Look.FIRST),
            ),
        )


def _is_latency(objective: Objective) -> bool:
    return objective.measure in (Measure.LATENCY_MS, Measure.LATENCY_NET_MS, Measure.ANSWERED_WITHIN_S)


def calls_in_progress(record: Record, axis: Axis, points: int = 240) -> tuple[Floats, Floats]:
    """Times and how many calls were between their first invoke and their last reply."""
    frame = record.sent_frame
    calls = frame.groupby("call", sort=False).agg(begin=("invoke_ns", "min"), done=("complete_ns", "max"))
    scale = record.time_scale / 1e9
    begin = np.sort((calls["begin"].to_numpy(np.int64) - record.load_started_ns) * scale)
    done = np.sort((calls["done"].to_numpy(np.int64) - record.load_started_ns) * scale)
    times = np.linspace(0, axis.end_s, points)
    counts = np.searchsorted(begin, times, side="right") - np.searchsorted(done, times, side="left")
    return times, counts.astype(float)

"""What the page says, section by section, as plain values for the templates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from markupsafe import Markup

from slotproof.checks.base import Finding, FindingKind
from slotproof.judgement import Judgement, Verdict
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.report import headline
from slotproof.report.axis import Axis, axis_of
from slotproof.report.charts import chart_svg
from slotproof.report.evidence import evidence_sha256
from slotproof.report.faults import FaultView, fault_views
from slotproof.report.interval_svg import draw_interval
from slotproof.report.redaction import redacted, redacted_text
from slotproof.report.requests import Requests, requests_of
from slotproof.report.series import Chart, calls_in_progress, charts_of
from slotproof.report.strip_svg import Pin, StripDrawing, draw_strip
from slotproof.report.tally import Tally, tally_of
from slotproof.report.text import (
    CHECK_WORDS,
    OBJECTIVE_WORDS,
    VALIDITY_WORDS,
    clean,
    count,
    counted,
    figure,
    icon,
    interval_text,
    limit_text,
    objective_title,
    percent,
    seconds,
    significant,
    tone,
)
from slotproof.report.verdict_json import fault_status, verdict_document
from slotproof.report.witness import Witness, witness_of
from slotproof.report.witness_svg import WitnessDrawing, draw_witness
from slotproof.slo.results import ObjectiveResult

DRAWN_FINDINGS = 6
MEANINGS = {
    "double_booking": "two bookings of one person overlap, and both were confirmed or both stand",
    "lost_booking": "a caller was told yes, and at the end calendar and database do not both hold the booking",
    "phantom_booking": "a booking stands at the end that was refused to its caller, or that nobody asked for",
    "divergent_booking": "a booking without a clear answer stands in only one of calendar and database",
    "replies": "a caller was refused a time that nobody can have held, or offered one that was held",
}
"""The bundled checks in a reader's words; others have their name only."""


@dataclass(frozen=True)
class Card:
    """A figure at the top of the page, with its section."""

    value: str
    text: str
    tone: str
    anchor: str


@dataclass(frozen=True)
class ObjectiveRow:
    title: str
    window: str
    limit: str
    observed: str
    margin: str
    interval: str
    n: str
    bar: Markup | None
    icon: str
    tone: str
    word: str
    reason: str
    chart: str | None


@dataclass(frozen=True)
class FindingView:
    """A finding with its number in the report; `witness` and `drawing` only for those that are drawn."""

    number: int
    line: str
    sentence: str
    at: str
    kind: str
    ops: str
    rows: str
    witness: Witness | None = None
    drawing: WitnessDrawing | None = None


@dataclass(frozen=True)
class ChartView:
    chart: Chart
    svg: Markup
    head: list[str]
    rows: list[list[str]]


class Page:
    """Everything that the templates ask for; each method is one part of the page."""

    def __init__(self, plan: Plan, record: Record, judgement: Judgement) -> None:
        self.plan = plan
        self.judgement = judgement
        self._record = record
        self._axis: Axis = axis_of(plan, record)
        self._requests: Requests = requests_of(record)
        self.tally: Tally = tally_of(record, judgement, self._requests)
        self.charts = self._charts()
        self._chart_of = {name: view.chart.id for view in self.charts for name in view.chart.objectives}
        worst = headline.worst_first(judgement.objectives)
        self.objectives = [self._objective(index, result) for index, result in enumerate(worst)]
        self.findings = self._numbered(headline.integrity_findings(judgement), 1)
        self.promises = self._numbered(headline.promise_findings(judgement), len(self.findings) + 1)

    # The verdict band

    @property
    def verdict_tone(self) -> str:
        return tone(self.judgement.verdict)

    @property
    def facts(self) -> list[tuple[str, str]]:
        plan, record = self.plan, self._record
        facts = [
            ("scenario", plan.title),
            ("target", plan.target.label),
            ("load", headline.duration_text(plan)),
            ("seed", str(plan.seed)),
            ("commit", plan.git_commit[:10] if plan.git_commit else "unknown"),
            ("began", headline.started_text(plan, record)),
        ]
        if self.judgement.aborted:
            facts.append(("aborted", self.judgement.aborted))
        return facts

    @property
    def evidence(self) -> str | None:
        return evidence_sha256(self._record.folder) if self._record.folder else None

    @property
    def scale_text(self) -> str:
        if self.plan.time_scale == 1:
            return "Time axes are seconds from the start of the load."
        return (
            "Time axes are life-size seconds from the start of the load. The run was made at time scale "
            f"{self.plan.time_scale:g}: waits took a {_nth(self.plan.time_scale)} of their life-size length."
        )

    @property
    def cards(self) -> list[Card]:
        judgement = self.judgement
        status = headline.validity_status(judgement.validity)
        objectives = headline.objectives_text(judgement.objectives)
        met, _, rest = objectives.partition(" met")
        worst = headline.worst_first(judgement.objectives)
        spans = self._record.fault_spans
        proven = all(fault_status(span) == "proven" for span in spans)
        return [
            self._integrity_card(),
            Card(met, f"objectives met{rest}" if rest or worst else "", tone(worst[0].status) if worst else "unsure",
                 "objectives"),
            Card(VALIDITY_WORDS[status], headline.validity_text(judgement.validity), tone(status), "validity"),
            Card(
                ("proven" if proven else "not proven") if spans else "none",
                headline.faults_text(self._record),
                ("good" if proven else "invalid") if spans else "quiet",
                "faults",
            ),
        ]  # fmt: skip

    def _integrity_card(self) -> Card:
        twice = self.tally.findings(FindingKind.DOUBLE_BOOKING)
        found = len(headline.integrity_findings(self.judgement))
        noun = "slot sold twice" if twice == 1 else "slots sold twice"
        if found > twice:
            more = f", {counted(found - twice, 'other integrity finding')}" if twice else ""
            return Card(count(twice or found), (noun if twice else "integrity findings") + more, "bad", "integrity")
        if found:
            return Card(count(twice), noun, "bad", "integrity")
        contested = counted(self.tally.contested, "contested attempt")
        return Card("0", f"{noun} in {contested}", self._zero_tone, "integrity")

    @property
    def _zero_tone(self) -> str:
        """Zero findings are good news only from checks that were decided, on a run that could have had some."""
        exercised = self.tally.contested > 0 and self.tally.told(Outcome.OK) > 0
        return "good" if exercised and headline.is_decided(self.judgement) else "unsure"

    # The strip

    @property
    def strip(self) -> StripDrawing:
        times, calls = calls_in_progress(self._record, self._axis)
        found = headline.integrity_findings(self.judgement)
        pins = [Pin(number, self._record.life_s(finding.at_ns)) for number, finding in enumerate(found, start=1)]
        return draw_strip(self._axis, times, calls, pins)

    # Objectives

    def _objective(self, index: int, result: ObjectiveResult) -> ObjectiveRow:
        objective = result.objective
        return ObjectiveRow(
            title=objective_title(objective),
            window=objective.window_text,
            limit=limit_text(objective),
            observed=figure(objective.measure, result.observed),
            margin=_margin(result),
            interval=interval_text(result),
            n=count(result.n),
            bar=draw_interval(result, f"interval-{index}"),
            icon=icon(result.status),
            tone=tone(result.status),
            word=OBJECTIVE_WORDS[result.status],
            reason=result.reason,
            chart=self._chart_of.get(objective.id),
        )

    # Integrity

    @property
    def funnel(self) -> list[tuple[str, str, str, str]]:
        """(figure, what, more, tone) of each step from the attempts to what was found."""
        tally = self.tally
        steps = [
            (count(tally.attempts), "booking attempts", f"{count(tally.contested)} contested", ""),
            (count(tally.told(Outcome.OK)), "confirmed to a caller", "", ""),
            (count(tally.told(Outcome.TAKEN)), "refused: slot taken", "", ""),
            (count(tally.told(Outcome.NONE)), "not served", "nothing happened", ""),
        ]
        for outcome, words in ((Outcome.PENDING, "answered “pending”"), (Outcome.UNKNOWN, "no answer")):
            steps.append((count(tally.told(outcome)), words, headline.resolved_text(tally, outcome), ""))
        twice = tally.findings(FindingKind.DOUBLE_BOOKING)
        steps.append((count(twice), "sold twice", "", "bad" if twice else self._zero_tone))
        lost, phantom = (tally.findings(k) for k in (FindingKind.LOST_BOOKING, FindingKind.PHANTOM_BOOKING))
        rest = len(headline.integrity_findings(self.judgement)) - twice - lost - phantom
        more = f"{lost} lost, {phantom} phantom, {rest} other"
        broken = lost + phantom + rest
        steps.append((count(broken), "lost, phantom or divergent", more, "bad" if broken else self._zero_tone))
        return steps

    @property
    def bound(self) -> str | None:
        return headline.bound_text(self.tally)

    @property
    def checks(self) -> list[dict[str, str]]:
        rows = []
        for name, result in sorted(self.judgement.checks.items()):
            undecided = "; ".join(f"{item.resource}: {item.reason}" for item in result.undecided[:5])
            rows.append(
                {
                    "name": headline.spoken(name),
                    "meaning": MEANINGS.get(name, ""),
                    "tone": tone(result.status),
                    "icon": icon(result.status),
                    "word": CHECK_WORDS[result.status],
                    "findings": count(len(result.findings)),
                    "exercised": headline.exercised_text(result),
                    "undecided": undecided,
                }
            )
        return rows

    @property
    def exercised(self) -> str:
        """What most checks had to work on, said once for all of them."""
        texts = Counter(headline.exercised_text(result) for result in self.judgement.checks.values())
        return texts.most_common(1)[0][0] if texts else ""

    def _numbered(self, findings: Sequence[Finding], first: int) -> list[FindingView]:
        return [self._finding(number, finding, number < first + DRAWN_FINDINGS)
                for number, finding in enumerate(findings, start=first)]  # fmt: skip

    def _finding(self, number: int, finding: Finding, drawn: bool) -> FindingView:
        witness = witness_of(finding, self._record, self._axis) if drawn else None
        return FindingView(
            number=number,
            line=headline.finding_line(finding, self._record),
            sentence=clean(finding.sentence),
            at=seconds(self._record.life_s(finding.at_ns)),
            kind=finding.kind.value.replace("_", " "),
            ops=", ".join(_op_words(op) for op in finding.ops),
            rows=", ".join(finding.rows),
            witness=witness,
            drawing=draw_witness(witness, f"witness-{number}") if witness else None,
        )

    # Validity and faults

    @property
    def validity(self) -> list[dict[str, str]]:
        return [
            {
                "name": headline.spoken(item.name),
                "required": item.required,
                "observed": item.observed,
                "tone": tone(item.status),
                "icon": icon(item.status),
                "word": VALIDITY_WORDS[item.status],
            }
            for item in self.judgement.validity
        ]

    @property
    def faults(self) -> list[FaultView]:
        return fault_views(self.plan, self._record, self._requests)

    # Charts

    def _charts(self) -> list[ChartView]:
        charts = charts_of(self.plan, self._record, self.judgement, self._axis, self._requests)
        return [self._chart(chart) for chart in charts]

    def _chart(self, chart: Chart) -> ChartView:
        rows = []
        for index, at_s in enumerate(chart.times_s):
            cells = [line.values[index] for line in chart.lines]
            rows.append([seconds(float(at_s)), *("–" if np.isnan(v) else chart.unit.text(float(v)) for v in cells)])
        return ChartView(chart, chart_svg(chart, self._axis), ["at", *(line.name for line in chart.lines)], rows)

    # Risk, reproduction, data

    @property
    def risk_outcome(self) -> tuple[str, str]:
        """(tone, sentence): what this run says about the scenario's risk."""
        found = len(headline.integrity_findings(self.judgement))
        if found:
            return "bad", f"It happened: {counted(found, 'integrity finding')} in this run."
        match self.judgement.verdict:
            case Verdict.GO:
                return "good", "Not seen in this run, which tried to make it happen."
            case Verdict.NO_GO:
                return "bad", "Not seen, but an objective was missed."
            case _:
                return "unsure", "This run does not decide it."

    @property
    def command(self) -> str:
        return redacted_text(clean(self.plan.command))

    @property
    def configuration(self) -> str:
        """The plan; of the callers' file only its name, since a report goes to people whom no path here concerns."""
        plan = self.plan.model_dump(mode="json", by_alias=True)
        plan["callers_file"] = PurePath(self.plan.callers_file).name
        return json.dumps(redacted(plan), indent=1, ensure_ascii=False)

    @property
    def machine(self) -> str:
        machine = self.plan.machine
        gib = significant(machine.memory_bytes / 2**30)
        return f"{counted(machine.cpus, 'CPU')}, {gib} GiB, {machine.system}, Python {machine.python}"

    @property
    def document(self) -> Markup:
        """verdict.json for a script element: no character in it can end the element."""
        text = json.dumps(verdict_document(self.plan, self._record, self.judgement), sort_keys=True, ensure_ascii=False)
        for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028")):
            text = text.replace(character, escape)
        return Markup(text)


def _margin(result: ObjectiveResult) -> str:
    """How far the observed value is from its limit, on the good or the bad side."""
    objective, observed = result.objective, result.observed
    limit = objective.below if objective.below is not None else objective.above
    if observed is None or limit is None:
        return ""
    if objective.measure in ("answered_within_s", "served", "honoured"):
        points = (observed - limit) * 100
        return f"{points:+.1f} points".replace("-", "−")
    if limit == 0:
        return ""
    side = "below" if observed < limit else "above"
    ratio = observed / limit
    return f"{ratio:.1f} times the limit" if ratio >= 2 else f"{percent(round(abs(1 - ratio), 3))} {side}"


def _op_words(op: int) -> str:
    """`w0/417`: worker and sequence."""
    return f"{op >> 40}/{op & (1 << 40) - 1}"


def _nth(scale: float) -> str:
    return {10: "tenth", 5: "fifth", 20: "twentieth", 30: "thirtieth"}.get(round(scale), f"1/{scale:g}")


def sections(page: Page) -> Iterable[tuple[str, str]]:
    """Anchors and titles of the page, for its navigation."""
    yield "objectives", "Objectives"
    yield "integrity", "Integrity"
    if page.findings:
        yield "findings", "Findings"
    if page.promises:
        yield "promises", "Promises"
    yield "validity", "Validity"
    yield "faults", "Faults"
    yield "charts", "What happened when"
    yield "risk", "Risk"
    yield "again", "Run it again"

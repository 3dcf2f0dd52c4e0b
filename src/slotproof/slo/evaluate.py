"""Judges each objective by its confidence interval (CONTRACTS.md sections 4–6, MEASURING.md section 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from slotproof.plan.objective import Measure, Objective, WaitsOn
from slotproof.plan.plan import Plan
from slotproof.record.record import Record
from slotproof.record.schemas import Outcome
from slotproof.slo.deciding import Estimate, decide, deciding_factor
from slotproof.slo.honoured import honoured_by_request
from slotproof.slo.intervals import (
    ONE_SIDED,
    TWO_SIDED,
    Interval,
    poisson_rate,
    quantile,
    quantile_interval,
    quantile_ranks,
    wilson,
)
from slotproof.slo.requests import request_frame
from slotproof.slo.results import ObjectiveResult, ObjectiveStatus
from slotproof.slo.windows import Span, Windows, duration_s, find_windows, inside


def evaluate_objectives(plan: Plan, record: Record) -> list[ObjectiveResult]:
    """One result per objective of the plan, in its order. Reads objectives, load and experiment, never the target."""
    faults = {use.id for use in plan.experiment.faults} if plan.experiment else set()
    run = _Run(plan, record)
    return [_evaluate(run, objective, faults) for objective in plan.objectives]


class NoDataError(Exception):
    """There is nothing to judge an objective by; the message says why, for the report."""


@dataclass(frozen=True)
class _Run:
    plan: Plan
    record: Record

    @cached_property
    def windows(self) -> Windows:
        return find_windows(self.plan, self.record)

    @cached_property
    def requests(self) -> pd.DataFrame:
        return request_frame(self.record)

    def scale(self, objective: Objective) -> float:
        """Wall time times this gives the objective's own unit: life-size for delays, wall for computing."""
        return self.record.time_scale if objective.waits_on is WaitsOn.DELAYS else 1.0

    def spans(self, objective: Objective) -> Sequence[Span]:
        spans = self.windows.of(objective)
        if not spans:
            raise NoDataError(f"there was no time {objective.window_text}")
        return spans

    def chosen(self, objective: Objective) -> pd.DataFrame:
        """The requests that the objective is about, inside its window."""
        requests = self.requests
        wanted = inside(requests["intended_ns"].to_numpy(np.int64), self.spans(objective))
        if objective.kind != "any":
            wanted &= (requests["kind"] == objective.kind).to_numpy(np.bool_)
        if objective.outcomes is not None:
            wanted &= requests["answer"].isin([outcome.value for outcome in objective.outcomes]).to_numpy(np.bool_)
        return requests[wanted]


def _evaluate(run: _Run, objective: Objective, faults: set[str]) -> ObjectiveResult:
    if objective.fault_id is not None and objective.fault_id not in faults:
        reason = f"the run has no fault {objective.fault_id}"
        return ObjectiveResult(objective, ObjectiveStatus.NOT_APPLICABLE, None, None, None, 0, reason)
    try:
        estimate = _ESTIMATES[objective.measure](run, objective)
    except NoDataError as nothing:
        return ObjectiveResult(objective, ObjectiveStatus.NO_DATA, None, None, None, 0, str(nothing))
    status = decide(objective, estimate.gate)
    return ObjectiveResult(
        objective=objective,
        status=status,
        observed=_finite(estimate.observed),
        ci_low=_finite(estimate.drawn.low),
        ci_high=_finite(estimate.drawn.high),
        n=estimate.n,
        reason=_reason(run, objective, status, estimate),
    )


def _latency(run: _Run, objective: Objective) -> Estimate:
    column = "latency_ns" if objective.measure is Measure.LATENCY_MS else "net_latency_ns"
    values = run.chosen(objective)[column].to_numpy(np.float64) / 1e6 * run.scale(objective)
    q = objective.statistic.quantile
    if not len(values) or q is None:
        raise NoDataError(f"no request of this kind {objective.window_text}")
    ordered = np.sort(values)
    return Estimate(
        observed=quantile(ordered, q),
        gate=quantile_interval(ordered, q, ONE_SIDED),
        drawn=quantile_interval(ordered, q, TWO_SIDED),
        n=len(ordered),
        wider=lambda factor: _stretched(ordered, q, factor),
    )


def _stretched(ordered: npt.NDArray[np.float64], q: float, factor: float) -> Interval:
    """The gate's interval if each value had come `factor` times: the same shape, a larger n."""
    n = min(round(len(ordered) * factor), 10_000_000)
    low, high = quantile_ranks(n, q, ONE_SIDED)
    at = [None if rank is None else float(ordered[math.ceil(rank / n * len(ordered)) - 1]) for rank in (low, high)]
    return Interval(at[0], at[1])


def _answered_within(run: _Run, objective: Objective) -> Estimate:
    requests = run.chosen(objective)
    return _share(objective, requests["latency_ns"].to_numpy(np.float64) <= _limit_ns(run, objective))


def _served(run: _Run, objective: Objective) -> Estimate:
    return _share(objective, _served_in_time(run, objective))


def _served_in_time(run: _Run, objective: Objective) -> npt.NDArray[np.bool_]:
    served_ns = run.chosen(objective)["served_ns"].to_numpy(np.float64)
    in_time: npt.NDArray[np.bool_] = np.isfinite(served_ns) & (served_ns <= _limit_ns(run, objective))
    return in_time


def _limit_ns(run: _Run, objective: Objective) -> float:
    """The limit of one answer in wall nanoseconds; infinite when the objective has none."""
    return math.inf if objective.limit_s is None else objective.limit_s / run.scale(objective) * 1e9


def _share(objective: Objective, good: npt.NDArray[np.bool_]) -> Estimate:
    n, successes = len(good), int(good.sum())
    if n == 0:
        raise NoDataError(f"no request of this kind {objective.window_text}")
    interval = wilson(successes, n)
    return Estimate(successes / n, interval, interval, n, lambda factor: wilson(successes * factor, n * factor))


def _goodput(run: _Run, objective: Objective) -> Estimate:
    """Served requests a second. For delays life-size: at time scale 10 the wall rate is ten times as high."""
    seconds = duration_s(run.spans(objective)) * run.scale(objective)
    served = int(_served_in_time(run, objective).sum())
    interval = poisson_rate(served, seconds)
    return Estimate(
        served / seconds, interval, interval, served, lambda factor: poisson_rate(served * factor, seconds * factor)
    )


def _honoured(run: _Run, objective: Objective) -> Estimate:
    honoured = honoured_by_request(run.record)
    if honoured is None:
        raise NoDataError("a ledger was not read")
    requests = run.requests.loc[honoured.index]
    wanted = inside(requests["intended_ns"].to_numpy(np.int64), run.spans(objective))
    if not wanted.any():
        raise NoDataError(f"no booking was answered {Outcome.PENDING} {objective.window_text}")
    return _share(objective, honoured.to_numpy(np.bool_)[wanted])


def _calcom_requests(run: _Run, objective: Objective) -> Estimate:
    """The largest figure that the calendar itself reported. A count, not a sample: no interval around it.

    Window `all` has no end here: what a service sends after the load counts as well.
    """
    samples = run.record.samples_frame
    samples = samples[(samples["source"] == "calcom") & (samples["metric"] == "requests_last_min")]
    spans = run.spans(objective)
    if objective.window == "all":
        spans = [(spans[0][0], int(samples["t_ns"].max()) + 1 if len(samples) else spans[0][1])]
    values = samples["value"].to_numpy(np.float64)[inside(samples["t_ns"].to_numpy(np.int64), spans)]
    if not len(values):
        raise NoDataError(f"the calendar's requests were not sampled {objective.window_text}")
    most = float(values.max()) / run.scale(objective)
    return Estimate(most, Interval(most, most), Interval(None, None), len(values))


_ESTIMATES: dict[Measure, Callable[[_Run, Objective], Estimate]] = {
    Measure.LATENCY_MS: _latency,
    Measure.LATENCY_NET_MS: _latency,
    Measure.ANSWERED_WITHIN_S: _answered_within,
    Measure.SERVED: _served,
    Measure.GOODPUT_PER_S: _goodput,
    Measure.HONOURED: _honoured,
    Measure.CALCOM_REQUESTS_PER_MIN: _calcom_requests,
}


def _reason(run: _Run, objective: Objective, status: ObjectiveStatus, estimate: Estimate) -> str:
    parts = []
    if math.isinf(estimate.observed):
        unanswered = 100 - 100 * (objective.statistic.quantile or 0)
        parts.append(f"more than {unanswered:.3g} % of the requests got no answer")
    if status is ObjectiveStatus.INCONCLUSIVE:
        factor = deciding_factor(objective, estimate)
        if factor is None:
            parts.append("the interval contains the limit, and no length of the run would decide")
        else:
            life_s = duration_s(run.windows.of(objective)) * run.record.time_scale
            parts.append(
                f"the interval contains the limit; with the same figures about {math.ceil(life_s * factor):,} s "
                f"life-size {objective.window_text} would decide, this run had {life_s:,.0f} s"
            )
    return "; ".join(parts)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

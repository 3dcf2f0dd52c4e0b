"""Can this run be trusted at all (CONTRACTS.md section 4)? One item per condition; what is not known is no pass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.experiment import FaultUse
from slotproof.plan.objective import Measure, Objective, WaitsOn
from slotproof.plan.plan import Plan
from slotproof.record.events import Phase
from slotproof.record.record import FaultSpan, Record
from slotproof.record.schemas import Actor
from slotproof.slo.intervals import quantile
from slotproof.slo.results import ValidityItem, ValidityStatus
from slotproof.slo.windows import Windows, duration_s, find_windows

RECORD_COMPLETE = "record_complete"
"""Name of the item that says whether every op is on record: only then does a finding outrank INVALID."""

_LEAST_ACHIEVED = 0.98
_LAG_FLOOR_MS = 5.0
_LAG_SHARE = 0.05
_MOST_FOREIGN_CORES = 0.5
_LEAST_STEADY_S = 60.0


def judge_validity(plan: Plan, record: Record) -> list[ValidityItem]:
    """Every condition of a trustworthy run, met or not. Reads load, objectives and experiment, never the target."""
    windows = find_windows(plan, record)
    return [
        _load_completed(record),
        _arrivals(plan, record, windows),
        _generator_lag(plan, record),
        _foreign_cpu(record, windows),
        _workers(record),
        *_faults(plan, record),
        _record_complete(record),
        _steady(record, windows),
        _rest(record),
        _ledgers(record),
    ]


def _item(name: str, met: bool, observed: str, required: str) -> ValidityItem:
    return ValidityItem(name, ValidityStatus.VALID if met else ValidityStatus.INVALID, observed, required)


def _unknown(name: str, observed: str, required: str) -> ValidityItem:
    return ValidityItem(name, ValidityStatus.UNKNOWN, observed, required)


def _load_completed(record: Record) -> ValidityItem:
    started, ended = record.phase_ns(Phase.LOAD_STARTED), record.phase_ns(Phase.LOAD_ENDED)
    seen = "ran to its end" if ended is not None else "began and did not end" if started is not None else "never began"
    return _item("load_completed", started is not None and ended is not None, seen, "the load runs to its end")


def _arrivals(plan: Plan, record: Record, windows: Windows) -> ValidityItem:
    """Calls that began against calls that were planned, before the first fault is due."""
    name = "arrivals_achieved"
    required = f"at least {_LEAST_ACHIEVED * 100:.0f} % of the calls planned before the first fault"
    faults = plan.experiment.faults if plan.experiment else ()
    until_s = min((use.at_s for use in faults), default=math.inf)
    until_s = min(until_s, record.life_s(windows.load[1]))
    planned = sum(at_s < until_s for at_s in arrival_times_s(plan.scenario.load, plan.seed))
    if planned == 0:
        return _unknown(name, "no call was planned before the first fault", required)
    ops = record.sent_frame
    begun_ns = ops.loc[ops["actor"] != Actor.EXTERNAL, ["call", "intended_ns"]].groupby("call")["intended_ns"].min()
    until_ns = record.load_started_ns + plan.wall_s(until_s) * 1e9
    achieved = int((begun_ns < until_ns).sum())
    share = achieved / planned
    return _item(name, share >= _LEAST_ACHIEVED, f"{share * 100:.1f} % ({achieved:,} of {planned:,})", required)


def _generator_lag(plan: Plan, record: Record) -> ValidityItem:
    """How late ops left the load generator, against the tightest latency that the run claims to measure."""
    limits = [_wall_ms(plan, objective) for objective in plan.objectives]
    limit_ms = max(_LAG_FLOOR_MS, _LAG_SHARE * min((limit for limit in limits if limit is not None), default=0.0))
    required = f"p99 at most {limit_ms:.3g} ms"
    ops = record.sent_frame
    ops = ops[ops["actor"] != Actor.EXTERNAL]
    if ops.empty:
        return _unknown("generator_lag", "no op was sent", required)
    lag_ms = np.sort((ops["invoke_ns"] - ops["intended_ns"]).to_numpy(np.float64)) / 1e6
    p99 = quantile(lag_ms, 0.99)
    return _item("generator_lag", p99 <= limit_ms, f"p99 {p99:.3g} ms over {len(lag_ms):,} ops", required)


def _wall_ms(plan: Plan, objective: Objective) -> float | None:
    """The limit of a latency objective in wall milliseconds."""
    if objective.measure not in (Measure.LATENCY_MS, Measure.LATENCY_NET_MS) or objective.below is None:
        return None
    return plan.wall_s(objective.below) if objective.waits_on is WaitsOn.DELAYS else objective.below


def _foreign_cpu(record: Record, windows: Windows) -> ValidityItem:
    required = f"at most {_MOST_FOREIGN_CORES} cores on average used by others during the load"
    foreign = _mean_sample(record, windows, "foreign_cpu_cores")
    if foreign is None:
        return _unknown("foreign_cpu", "not sampled", required)
    stolen = _mean_sample(record, windows, "steal_cores")
    seen = f"{foreign:.2f} cores" + ("" if stolen is None else f", {stolen:.2f} stolen by the hypervisor")
    return _item("foreign_cpu", foreign <= _MOST_FOREIGN_CORES, seen, required)


def _mean_sample(record: Record, windows: Windows, metric: str) -> float | None:
    """Average of a machine figure during the load."""
    samples = record.samples_frame
    chosen = samples.loc[
        (samples["source"] == "machine")
        & (samples["metric"] == metric)
        & samples["t_ns"].between(windows.load[0], windows.load[1]),
        "value",
    ]
    return None if chosen.empty else float(chosen.mean())


def _workers(record: Record) -> ValidityItem:
    lost = sum(event.phase is Phase.WORKER_LOST for event in record.phases)
    return _item("load_workers", lost == 0, f"{lost} lost" if lost else "none lost", "no load worker is lost")


def _faults(plan: Plan, record: Record) -> Iterator[ValidityItem]:
    spans = {span.fault_id: span for span in record.fault_spans}
    for use in plan.experiment.faults if plan.experiment else ():
        yield _fault(use, spans.get(use.id))


def _fault(use: FaultUse, span: FaultSpan | None) -> ValidityItem:
    steps = {
        "injected": span is not None and span.injected_ns is not None,
        "seen at its dependency": span is not None and span.bitten,
        "healed": span is not None and span.healed_ns is not None,
        "seen to be healed": span is not None and span.verified_healed_ns is not None,
    }
    missing = [step for step, done in steps.items() if not done]
    seen = f"not {', not '.join(missing)}" if missing else ", ".join(steps)
    return _item(f"fault_{use.id}", not missing, seen, ", ".join(steps))


def _record_complete(record: Record) -> ValidityItem:
    required = "every op is on record, each file with its end marker"
    if record.ops.num_rows == 0:
        return _item(RECORD_COMPLETE, False, "no op is on record", required)
    seen = f"{record.ops.num_rows:,} ops" + ("" if record.ops_complete else "; a file lacks its end marker")
    return _item(RECORD_COMPLETE, record.ops_complete, seen, required)


def _steady(record: Record, windows: Windows) -> ValidityItem:
    steady_s = duration_s(windows.steady) * record.time_scale
    status = ValidityStatus.VALID if steady_s >= _LEAST_STEADY_S else ValidityStatus.TOO_SHORT
    required = f"at least {_LEAST_STEADY_S:.0f} s life-size outside warm-up, faults and recovery"
    return ValidityItem("steady_duration", status, f"{steady_s:.0f} s life-size", required)


def _rest(record: Record) -> ValidityItem:
    name, required = "came_to_rest", "nothing runs, nothing is pending, two equal reads of both ledgers"
    rest = next((event for event in record.phases if event.phase is Phase.QUIESCENT), None)
    if rest is None:
        return _unknown(name, "the run ended before", required)
    if not rest.details.get("quiet"):
        return _unknown(name, f"not in time: {rest.details.get('why') or 'no reason told'}", required)
    waited_s = float(rest.details.get("waited_s", 0.0)) * record.time_scale
    return _item(name, True, f"after {waited_s:.0f} s life-size", required)


def _ledgers(record: Record) -> ValidityItem:
    missing = [
        name for name, ledger in (("database", record.database), ("calendar", record.calendar)) if ledger is None
    ]
    required = "the histories of database and calendar are read to their end"
    if missing:
        return _unknown("ledgers_read", f"not read: {', '.join(missing)}", required)
    return _item("ledgers_read", True, "both", required)

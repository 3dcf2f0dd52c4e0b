"""Before a run: which objectives can its expected number of requests not decide (CONTRACTS.md section 4)?

The best case is assumed: not one failure, every value within the limit. What is said here is therefore certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from slotproof.plan.arrivals import arrival_times_s
from slotproof.plan.objective import AfterWindow, DuringWindow, Measure, Objective, Statistic
from slotproof.plan.plan import Plan
from slotproof.record.schemas import Kind
from slotproof.slo.intervals import ONE_SIDED, quantile_ranks, wilson

LifeSpan = tuple[float, float]
"""Life-size seconds from the load's start, from (included) and to (excluded)."""

_LEAST_STEADY_S = 60.0
_MOST_N = 1_000_000
_NOT_FORESEEN = (Measure.HONOURED, Measure.CALCOM_REQUESTS_PER_MIN, Measure.GOODPUT_PER_S)
_WINDOW_WORDS = {"all": "in the whole load", "steady": "in its steady state"}
_WEBHOOKS_PER_CALL = 3  # started, ended, analysed


def foresee(plan: Plan) -> list[str]:
    """One warning for each objective that this plan is too short to decide, and one when its steady state is."""
    warnings = [_warning(plan, objective) for objective in plan.objectives if _faults_known(plan, objective)]
    steady_s = sum(to - start for start, to in _steady(plan))
    if steady_s < _LEAST_STEADY_S:
        warnings.append(
            f"the steady state will last {steady_s:g} s life-size; below {_LEAST_STEADY_S:g} s the answer cannot be GO"
        )
    return [warning for warning in warnings if warning is not None]


def expected_n(plan: Plan, objective: Objective) -> float | None:
    """Requests that the objective will see, from the calls planned; None when the plan does not tell.

    A call asks for free times once and books once, when all goes well; repeats of one request count once.
    """
    per_call = _requests_per_call(plan, objective)
    if per_call is None or objective.measure in _NOT_FORESEEN:
        return None
    spans = _window(plan, objective)
    calls = sum(
        any(start <= at_s < to for start, to in spans) for at_s in arrival_times_s(plan.scenario.load, plan.seed)
    )
    return calls * per_call


def least_n(objective: Objective) -> int | None:
    """The smallest n that can meet the objective at all; None when none can, or when n is not what decides."""
    if objective.statistic is Statistic.SHARE:
        return _smallest(lambda n: _share_decides(objective, n))
    q = objective.statistic.quantile
    if q is None:
        return None
    side = 1 if objective.below is not None else 0
    return _smallest(lambda n: quantile_ranks(n, q, ONE_SIDED)[side] is not None)


def _warning(plan: Plan, objective: Objective) -> str | None:
    expected, least = expected_n(plan, objective), least_n(objective)
    if expected is None or least is None or expected >= least:
        return None
    return (
        f"objective {objective.id} cannot be decided: about {expected:.0f} requests are expected "
        f"{_WINDOW_WORDS.get(objective.window_text, objective.window_text)}, at least {least} are needed even if all "
        "of them are good"
    )


def _faults_known(plan: Plan, objective: Objective) -> bool:
    """An objective whose fault is absent is not applicable, so it needs no requests."""
    ids = {use.id for use in plan.experiment.faults} if plan.experiment else set()
    return objective.fault_id is None or objective.fault_id in ids


def _requests_per_call(plan: Plan, objective: Objective) -> float | None:
    options = plan.scenario.options
    per_kind: dict[str, float] = {
        Kind.WEBHOOK: _WEBHOOKS_PER_CALL,
        Kind.AVAILABILITY: 1,
        Kind.BOOK: 1,
        Kind.CANCEL: options.cancel_share,
        Kind.MOVE: options.move_share,
    }
    return sum(per_kind.values()) if objective.kind == "any" else per_kind.get(objective.kind)


def _share_decides(objective: Objective, n: int) -> bool:
    if objective.above is not None:
        low = wilson(n, n).low
        return low is not None and low > objective.above
    high = wilson(0, n).high
    return high is not None and objective.below is not None and high < objective.below


def _smallest(decides: Callable[[int], bool]) -> int | None:
    """The smallest n for which it is true; once true it stays true."""
    if not decides(_MOST_N):
        return None
    low, high = 0, _MOST_N
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _window(plan: Plan, objective: Objective) -> Sequence[LifeSpan]:
    load, window = plan.scenario.load, objective.window
    if window == "all":
        return [(load.warm_up_s, load.duration_s)]
    if plan.experiment is not None and isinstance(window, DuringWindow | AfterWindow):
        use = next(use for use in plan.experiment.faults if use.id == objective.fault_id)
        if isinstance(window, DuringWindow):
            return [(use.at_s, use.until_s)]
        return [(use.until_s + plan.experiment.recovery_s, load.duration_s)]
    return list(_steady(plan))


def _steady(plan: Plan) -> Iterator[LifeSpan]:
    """Everything outside warm-up, faults and recovery."""
    load, experiment = plan.scenario.load, plan.experiment
    uses = sorted(experiment.faults, key=lambda use: use.at_s) if experiment else []
    begins = load.warm_up_s
    for use in uses:
        if use.at_s > begins:
            yield begins, use.at_s
        begins = max(begins, use.until_s + (experiment.recovery_s if experiment else 0))
    if load.duration_s > begins:
        yield begins, load.duration_s

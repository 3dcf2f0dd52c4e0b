"""Confidence intervals without assumptions on the shape of latencies (MEASURING.md section 2).

Quantiles: order statistics, exact. The gate uses the one-sided 95 % bound of its comparator (p95 has an upper one from
n = 59), the report draws the two-sided 95 % interval (n = 72). Shares: Wilson's two-sided 95 % interval, for the gate
too; so zero failures prove "< 2 %" from n = 189 and "< 1 %" from 381. Rates: the score interval of a Poisson count,
which is Wilson's for rare events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

ONE_SIDED = 0.05
TWO_SIDED = 0.025
"""Probability left out in each tail."""
_Z = 1.959963984540054
"""Standard normal quantile of 97.5 %."""
_SPREAD = 12
"""Standard deviations around the mean outside of which a binomial's mass is below double precision."""


@dataclass(frozen=True)
class Interval:
    """`low` or `high` is None where the sample is too small to bound that side."""

    low: float | None
    high: float | None


def quantile(ordered: npt.NDArray[np.float64], q: float) -> float:
    """The smallest value with at least a share `q` of the sample at or below it. `ordered` ascends, is not empty."""
    return float(ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)])


def quantile_interval(ordered: npt.NDArray[np.float64], q: float, tail: float) -> Interval:
    """Order statistics that enclose the true quantile, each missed with a probability of at most `tail`."""
    low, high = quantile_ranks(len(ordered), q, tail)
    return Interval(
        None if low is None else float(ordered[low - 1]), None if high is None else float(ordered[high - 1])
    )


@lru_cache(maxsize=256)
def quantile_ranks(n: int, q: float, tail: float) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the lower and the upper bound; None where no order statistic bounds that side.

    With B = how many of n values lie at or below the true quantile, binomial (n, q): rank r is a lower bound when
    P(B < r) <= tail, an upper bound when P(B >= r) <= tail.
    """
    if n == 0:
        return None, None
    first, below = _binomial_cdf(n, q)  # below[i] = P(B <= first + i)
    low = first + int(np.searchsorted(below, tail, side="right"))  # the largest r with P(B <= r - 1) <= tail
    high = first + int(np.searchsorted(below, 1 - tail, side="left")) + 1  # the smallest r with P(B <= r - 1) >= 1-tail
    return (low if low >= 1 else None), (high if high <= n else None)


def _binomial_cdf(n: int, q: float) -> tuple[int, npt.NDArray[np.float64]]:
    """(first, P(B <= first), P(B <= first + 1), …), without the parts whose mass is below double precision."""
    deviation = math.sqrt(n * q * (1 - q)) + 1
    first = max(0, math.floor(n * q - _SPREAD * deviation))
    last = min(n, math.ceil(n * q + _SPREAD * deviation))
    counts = range(first, last + 1)
    log_mass = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(q) + (n - k) * math.log1p(-q)
        for k in counts
    ]
    return first, np.cumsum(np.exp(np.array(log_mass)))


def wilson(successes: float, n: float) -> Interval:
    """Two-sided 95 % interval of a share, from 0 to 1. `n` is above 0 and may be a planned, fractional number."""
    share, z2 = successes / n, _Z * _Z
    middle = share + z2 / (2 * n)
    spread = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(max(0.0, (middle - spread) / (1 + z2 / n)), min(1.0, (middle + spread) / (1 + z2 / n)))


def poisson_rate(count: float, duration_s: float) -> Interval:
    """Two-sided 95 % interval of a rate per second, from a count over `duration_s` > 0: the score interval."""
    z2 = _Z * _Z
    spread = _Z * math.sqrt(count + z2 / 4)
    return Interval(max(0.0, count + z2 / 2 - spread) / duration_s, (count + z2 / 2 + spread) / duration_s)

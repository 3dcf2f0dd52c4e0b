"""Intervals against the figures of MEASURING.md section 2 and CONTRACTS.md section 6, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from slotproof.slo.intervals import (
    ONE_SIDED,
    TWO_SIDED,
    poisson_rate,
    quantile,
    quantile_interval,
    quantile_ranks,
    wilson,
)


@pytest.mark.parametrize(
    ("q", "tail", "smallest"),
    [
        (0.95, ONE_SIDED, 59),
        (0.99, ONE_SIDED, 299),
        (0.999, ONE_SIDED, 2995),
        (0.95, TWO_SIDED, 72),
        (0.99, TWO_SIDED, 368),
        (0.999, TWO_SIDED, 3688),
    ],
)
def test_a_quantile_has_an_upper_bound_from_a_known_n_on(q: float, tail: float, smallest: int) -> None:
    assert quantile_ranks(smallest - 1, q, tail)[1] is None
    assert quantile_ranks(smallest, q, tail)[1] == smallest


def test_the_median_has_both_bounds_in_the_middle() -> None:
    assert quantile_ranks(100, 0.5, TWO_SIDED) == (40, 61)  # the textbook's ranks


def test_an_empty_sample_has_no_bounds() -> None:
    assert quantile_ranks(0, 0.5, ONE_SIDED) == (None, None)


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("tail", [ONE_SIDED, TWO_SIDED])
def test_bounds_miss_the_true_quantile_as_often_as_promised(q: float, tail: float) -> None:
    generator = np.random.default_rng(7)
    runs, n = 4000, 400
    samples = np.sort(generator.random((runs, n)), axis=1)  # the true quantile of a uniform sample is q
    low, high = quantile_ranks(n, q, tail)
    assert low is not None
    assert high is not None
    noise = 3 * (tail * (1 - tail) / runs) ** 0.5
    assert (samples[:, low - 1] > q).mean() <= tail + noise
    assert (samples[:, high - 1] < q).mean() <= tail + noise
    # … and no rank further in would do
    assert (samples[:, low] > q).mean() > tail - noise
    assert (samples[:, high - 2] < q).mean() > tail - noise


def test_large_samples_are_exact_too() -> None:
    low, high = quantile_ranks(1_000_000, 0.95, TWO_SIDED)
    deviation = (1_000_000 * 0.95 * 0.05) ** 0.5
    assert low == pytest.approx(950_000 - 1.96 * deviation, abs=2)
    assert high == pytest.approx(950_000 + 1.96 * deviation, abs=2)


def test_quantiles_are_values_of_the_sample() -> None:
    ordered = np.arange(1.0, 101.0)
    assert quantile(ordered, 0.95) == 95
    assert quantile(ordered, 0.5) == 50
    assert quantile(np.array([7.0]), 0.99) == 7
    interval = quantile_interval(ordered, 0.5, TWO_SIDED)
    assert (interval.low, interval.high) == (40, 61)


@pytest.mark.parametrize(("limit", "enough"), [(0.02, 189), (0.01, 381)])
def test_zero_failures_prove_a_limit_from_a_known_n_on(limit: float, enough: int) -> None:
    assert (wilson(0, enough).high or 1) < limit
    assert (wilson(0, enough - 1).high or 1) >= limit


@pytest.mark.parametrize(("limit", "tolerated"), [(0.95, 6), (0.98, 0)])
def test_late_answers_tolerated_at_n_270(limit: float, tolerated: int) -> None:
    assert (wilson(270 - tolerated, 270).low or 0) > limit
    assert (wilson(270 - tolerated - 1, 270).low or 0) <= limit


def test_wilson_knows_its_ends_and_a_textbook_value() -> None:
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == pytest.approx(1)
    interval = wilson(15, 148)
    assert interval.low == pytest.approx(0.0624, abs=1e-4)
    assert interval.high == pytest.approx(0.1605, abs=1e-4)


def test_rates_miss_the_true_rate_in_about_five_percent() -> None:
    generator = np.random.default_rng(11)
    counts = generator.poisson(40, 5000)
    intervals = [poisson_rate(int(count), 10.0) for count in counts]
    hit = np.mean([(each.low or 0) <= 4.0 <= (each.high or 0) for each in intervals])
    assert 0.93 < hit < 0.97
    assert poisson_rate(0, 10.0).low == 0

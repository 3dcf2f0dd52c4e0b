"""The sweep against all pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slotproof.checks.sweep import Span, count_overlaps, overlaps


@st.composite
def _spans(draw: st.DrawFn) -> list[Span]:
    """Few distinct values, so that ties and touching ranges are common. One owner has one range."""
    small = st.integers(0, 6)
    ranges = draw(st.lists(st.tuples(small, small), min_size=1, max_size=6))
    spans = []
    for _ in range(draw(st.integers(0, 12))):
        owner = draw(st.integers(0, len(ranges) - 1))
        to_ns = draw(st.none() | small)
        spans.append(Span(owner, str(owner % 2), *ranges[owner], draw(small), to_ns))
    return spans


def _overlap(one: Span, other: Span) -> bool:
    lasting = all(span.to_ns is None or span.from_ns < span.to_ns for span in (one, other))
    long_enough = all(span.start_s < span.end_s for span in (one, other))
    in_time = (one.to_ns is None or other.from_ns < one.to_ns) and (other.to_ns is None or one.from_ns < other.to_ns)
    in_range = one.start_s < other.end_s and other.start_s < one.end_s
    return one.person == other.person and one.owner != other.owner and lasting and long_enough and in_time and in_range


@given(_spans())
def test_finds_exactly_the_overlapping_pairs(spans: list[Span]) -> None:
    pairs = ((one, other) for index, one in enumerate(spans) for other in spans[index + 1 :])
    expected = sorted((sorted(pair, key=repr) for pair in pairs if _overlap(*pair)), key=repr)
    found = sorted((sorted(pair, key=repr) for pair in overlaps(spans)), key=repr)
    assert found == expected
    assert count_overlaps(spans) == len(expected)

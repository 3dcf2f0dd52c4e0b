"""The oracle: every order and every fate is tried. Shares no code with the checker, and none of its ideas.

An unknown outcome may have happened or not; what counts is that the calendar ends as the ledger says. Slow by intent:
for histories of up to about ten ops.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotproof.record.exchange import History, HistoryOp

_EVERYTHING = (-1000, 1000)
_LATE = 10**9


@dataclass(frozen=True)
class _Deed:
    """Something that happens at one instant of [first, last], must happen or may, and is possible in some states."""

    what: str
    id: str | None
    span: tuple[int, int]
    first: int
    last: int
    must: bool


def explains(history: History, capacity: int = 1) -> bool:
    """Whether any order of one resource's ops, with any fate of the unknown ones, gives these replies and this end."""
    search = _Search(_deeds(history), _wanted(history), capacity)
    return search.go(frozenset(range(len(search.deeds))), frozenset(), frozenset())


def _deeds(history: History) -> tuple[_Deed, ...]:
    deeds: list[_Deed] = []
    by_request: dict[tuple[str, str | None], list[HistoryOp]] = {}
    for op in history.ops:
        f, said = op.function.value, op.outcome.value
        span = (op.start, op.end) if op.start is not None and op.end is not None else _EVERYTHING
        if f in ("book", "cancel") and said in ("ok", "info"):
            by_request.setdefault((f, op.id), []).append(op)
        elif f == "move" and said in ("ok", "info"):
            assert op.to_start is not None
            assert op.to_end is not None
            last = _LATE if op.complete_ns is None else op.complete_ns
            deeds.append(_Deed("move", op.id, (op.to_start, op.to_end), op.invoke_ns, last, said == "ok"))
        elif said != "info":
            assert op.complete_ns is not None
            if f == "move" and said == "conflict":
                assert op.to_start is not None
                assert op.to_end is not None
                deeds.append(_Deed("others", op.id, (op.to_start, op.to_end), op.invoke_ns, op.complete_ns, True))
                continue
            claim = {"conflict": "full", "busy": "full" if op.id is None else "held by"}.get(said, said)
            deeds.append(_Deed(claim, op.id, span, op.invoke_ns, op.complete_ns, True))
    for (f, name), attempts in by_request.items():
        first = attempts[0]
        span = (first.start, first.end) if first.start is not None and first.end is not None else _EVERYTHING
        begun = min(op.invoke_ns for op in attempts)
        told = [op.complete_ns for op in attempts if op.complete_ns is not None]
        deeds.append(_Deed(f, name, span, begun, min(told) if told else _LATE, bool(told)))
        if f == "book" and not told:
            deeds.append(_Deed("cancel", name, span, begun, _LATE, False))  # the service may take it back
    return tuple(deeds)


def _wanted(history: History) -> dict[str, tuple[str, tuple[int, int] | None]] | None:
    """What the ledger says of each id. Several rows of one id, all live, mean the impossible."""
    if history.ledger is None:
        return None
    wanted: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for row in history.ledger:
        span = (row.start, row.end) if row.start is not None and row.end is not None else None
        known = wanted.get(row.id)
        if sum(each.id == row.id and each.state.value == "live" for each in history.ledger) > 1:
            wanted[row.id] = ("twice", None)
        elif known is None or row.state.value == "cancelled":
            wanted[row.id] = (row.state.value, span)
    return wanted


Holding = tuple[str, tuple[int, int]]


class _Search:
    def __init__(
        self,
        deeds: tuple[_Deed, ...],
        wanted: dict[str, tuple[str, tuple[int, int] | None]] | None,
        capacity: int,
    ) -> None:
        self.deeds = deeds
        self.wanted = wanted
        self.capacity = capacity
        self.dead: set[tuple[frozenset[int], frozenset[Holding], frozenset[str]]] = set()

    def go(self, left: frozenset[int], held: frozenset[Holding], gone: frozenset[str]) -> bool:
        """`gone`: cancelled bookings."""
        if not any(self.deeds[index].must for index in left) and self._ends_well(held, gone):
            return True
        if (left, held, gone) in self.dead:
            return False
        soonest = min((self.deeds[index].last for index in left if self.deeds[index].must), default=_LATE)
        for index in left:
            if self.deeds[index].first <= soonest:
                after = self._do(self.deeds[index], held, gone)
                if after is not None and self.go(left - {index}, *after):
                    return True
        self.dead.add((left, held, gone))
        return False

    def _ends_well(self, held: frozenset[Holding], gone: frozenset[str]) -> bool:
        if self.wanted is None:
            return True
        if {name for name, _ in held} | gone != set(self.wanted):
            return False
        for name, span in held:
            state, where = self.wanted[name]
            if state != "live" or (where is not None and where != span):
                return False
        return all(self.wanted[name][0] == "cancelled" for name in gone)

    def _do(
        self, deed: _Deed, held: frozenset[Holding], gone: frozenset[str]
    ) -> tuple[frozenset[Holding], frozenset[str]] | None:
        mine = [holding for holding in held if holding[0] == deed.id]
        if deed.what == "book":
            if mine or deed.id in gone or self._full(held, deed.span):
                return None
            return held | {(str(deed.id), deed.span)}, gone
        if deed.what == "cancel":
            return (held - set(mine), gone | {str(deed.id)}) if mine else None
        if deed.what == "move":
            others = held - set(mine)
            return (others | {(str(deed.id), deed.span)}, gone) if mine and not self._full(others, deed.span) else None
        if deed.what == "free":
            return None if self._full(held, deed.span) else (held, gone)
        if deed.what == "full":
            return (held, gone) if self._full(held, deed.span) else None
        if deed.what == "others":
            return (held, gone) if self._full(held - set(mine), deed.span) else None
        if deed.what == "not_held":
            return None if mine else (held, gone)
        assert deed.what == "held by"
        there = [span for _, span in mine if span[0] < deed.span[1] and deed.span[0] < span[1]]
        return (held, gone) if there else None

    def _full(self, held: frozenset[Holding], span: tuple[int, int]) -> bool:
        return (
            any(sum(start <= point < end for _, (start, end) in held) >= self.capacity for point in range(*span))
            if span != _EVERYTHING
            else len(held) >= self.capacity
        )

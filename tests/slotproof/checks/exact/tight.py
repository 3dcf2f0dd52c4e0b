"""Random histories in which nearly every reply matters: few certain bookings, lost ones, refusals in between.

Lost bookings that were withdrawn may have been held at any time, or at none: each can explain one refusal or another,
and what is decided about one decides what is left for the rest.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.slotproof.checks.exact.generate import Shape

from slotproof.record.exchange import Function, History, HistoryOp, Reply, RestRow, RestState

Place = tuple[int, int] | tuple[None, None]
STEP = 10
"""From one certain booking to the next."""
WIDTHS = (0, 1, 1, 3, STEP)
"""How long a reply takes: mostly shorter than a gap."""


def tight(rng: random.Random, shape: Shape, *, known: int = 3, lost: int = 4, replies: int = 5) -> History:
    """At most so many certain bookings, one after the other, lost ones, and replies at random instants."""
    made = _Made(rng, shape)
    count = rng.randint(0, known)
    made.last = max(count, 1) * STEP // shape.capacity
    for number in range(count):
        made.known(f"known{number}", number * STEP // shape.capacity)
    for number in range(rng.randint(1, lost)):
        made.lost(f"lost{number}")
    for _ in range(rng.randint(1, replies)):
        made.reply()
    return History(tuple(made.ops), tuple(made.rows))


@dataclass
class _Made:
    rng: random.Random
    shape: Shape
    last: int = 0
    ops: list[HistoryOp] = field(default_factory=list)
    rows: list[RestRow] = field(default_factory=list)
    at_rest: dict[str, Place] = field(default_factory=dict)

    def known(self, name: str, earliest: int) -> None:
        rng, place = self.rng, self._place()
        begin = earliest + rng.randint(0, 2)
        end = begin + rng.randint(1, 6)
        self._op(Function.BOOK, Reply.OK, begin, begin + rng.randint(0, 3), name, place)
        rest = self._moved(name, place, begin, end)
        is_cancelled = rng.random() < 0.8
        if is_cancelled:
            self._cancel(name, rest, end, end + rng.randint(0, 4), is_lost=rng.random() < 0.2)
        self._rest(name, rest, is_live=not is_cancelled)

    def lost(self, name: str) -> None:
        rng, place = self.rng, self._place()
        since = rng.randint(-STEP // 2, self.last)
        self._op(Function.BOOK, Reply.INFO, since, None, name, place)
        rest = self._moved(name, place, since, self.last)
        is_live = rng.random() < 0.15
        if not is_live and rng.random() < 0.5:  # otherwise the service withdrew it
            cancelled = rng.randint(since, self.last)
            self._cancel(name, rest, cancelled, rng.randint(cancelled, self.last), is_lost=rng.random() < 0.2)
        self._rest(name, rest, is_live=is_live)
        if rng.random() < 0.3:
            at = rng.randint(since, self.last)
            where, until = rng.choice((place, rest)), at + rng.randint(0, 2)
            if rng.random() < 0.7:
                self._op(Function.FREE, Reply.BUSY, at, until, name, where)
            else:
                self._op(Function.CANCEL, Reply.NOT_HELD, at, until, name, where)

    def reply(self) -> None:
        rng, place = self.rng, self._place()
        since = rng.randint(-STEP // 2, self.last)
        until = since + rng.choice(WIDTHS)
        what = rng.random()
        known = rng.choice(list(self.at_rest)) if rng.random() < 0.3 else None
        if what < 0.5:
            self._op(Function.BOOK, Reply.CONFLICT, since, until, known or f"refused{len(self.ops)}", place)
        elif what < 0.8:
            self._op(Function.FREE, Reply.FREE, since, until, known, place)
        elif what < 0.9 or not self.shape.moves:
            self._op(Function.FREE, Reply.BUSY, since, until, None, place)
        else:
            name = rng.choice(list(self.at_rest))
            self._op(Function.MOVE, Reply.CONFLICT, since, until, name, self.at_rest[name], place)

    def _moved(self, name: str, place: Place, since: int, until: int) -> Place:
        """Where the booking is at rest: elsewhere if it was moved, which may have been lost too."""
        rng = self.rng
        if not self.shape.moves or rng.random() < 0.6:
            return place
        to, at, is_lost = self._place(), rng.randint(since, until), rng.random() < 0.4
        reply, done = (Reply.INFO, None) if is_lost else (Reply.OK, at + rng.randint(0, 3))
        self._op(Function.MOVE, reply, at, done, name, place, to)
        return place if is_lost and rng.random() < 0.4 else to

    def _cancel(self, name: str, place: Place, since: int, until: int, *, is_lost: bool) -> None:
        reply, done = (Reply.INFO, None) if is_lost else (Reply.OK, until)
        self._op(Function.CANCEL, reply, since, done, name, place)

    def _rest(self, name: str, place: Place, *, is_live: bool) -> None:
        self.rows.append(RestRow("slot", name, RestState.LIVE if is_live else RestState.CANCELLED, *place))
        self.at_rest[name] = place

    def _op(
        self, function: Function, reply: Reply, since: int, until: int | None, name: str | None, place: Place,
        to: Place = (None, None),
    ) -> None:  # fmt: skip
        self.ops.append(HistoryOp(len(self.ops) + 1, function, reply, since, until, "slot", name, *place, *to))

    def _place(self) -> Place:
        return self.rng.choice(self.shape.spans) if self.shape.spans else (None, None)

"""Callers for the tests: each asks for the person whose turn it is, books, and then moves and cancels."""

from __future__ import annotations

from slotproof.load.caller import PhoneCaller


class OneByOne(PhoneCaller):
    def call(self) -> None:
        person = self.people[(self.persona.call - 1) % len(self.people)]
        day = self.day(0)
        self.start_call()
        offers = self.check_availability(day, person)
        self.talk()
        wishes = self.start_times(person, day) if offers is None else offers
        booking = self.book_one_of(wishes, tries=2)
        if booking:
            moved = self.move(booking, wishes[-1]).booking
            if moved:
                self.cancel(moved)

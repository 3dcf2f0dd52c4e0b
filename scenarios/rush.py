"""Hundreds of callers want the same few slots: each wave opens a fresh day, and most want the same hours of it.

Runs under slotproof (scenarios/rush.yaml) and under plain `locust -f scenarios/rush.py --host http://127.0.0.1:8000`.
"""

from __future__ import annotations

from datetime import date

from slotproof.load.caller import Booking, PhoneCaller, Slot, preferring
from slotproof.plan.world import Person

POPULAR_STARTS = 3
POPULAR_SHARE = 0.7


class RushCaller(PhoneCaller):
    """Asks for one person on the wave's day, wants a popular time, and settles for one near it."""

    def call(self) -> None:
        day = self.day(self.wave())
        person = self.random.choice(self.people)
        wish = self.popular_time(person, day)

        self.start_call()
        self.think(3, 6)
        offers = self.check_availability(day, person)
        self.talk()
        # An agent who heard nothing about free times still tries what the caller asked for.
        known = self.start_times(person, day) if offers is None else offers
        booking = self.book_one_of(preferring(known, wish))
        if booking:
            self.change_mind(booking, preferring(known, wish))
        self.end_call()

    def wave(self) -> int:
        return int(self.arrived_s // self.options.wave_s) if self.options.wave_s else 0

    def popular_time(self, person: Person, day: date) -> Slot:
        """Mostly one of a few neighbouring starts: nearer to each other than a service is long, so they overlap."""
        times = self.start_times(person, day)
        middle = (len(times) - POPULAR_STARTS) // 2
        popular = times[max(0, middle) : max(0, middle) + POPULAR_STARTS]
        return self.random.choice(popular if self.random.random() < POPULAR_SHARE else times)

    def change_mind(self, booking: Booking, others: list[Slot]) -> None:
        """A share of the callers moves the booking or gives it back before hanging up."""
        drawn = self.random.random()
        elsewhere = next((slot for slot in others if not slot.overlaps(booking.slot)), None)
        if drawn < self.options.cancel_share:
            self.think(5, 15)
            self.cancel(booking)
        elif drawn < self.options.cancel_share + self.options.move_share and elsewhere:
            self.think(5, 15)
            self.move(booking, elsewhere)

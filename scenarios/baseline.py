"""A normal day: callers want any time of the next days, talk it over, and some change their minds.

Runs under slotproof (scenarios/baseline.yaml) and under plain `locust -f scenarios/baseline.py --host http://…`.
"""

from __future__ import annotations

from slotproof.load.caller import Booking, PhoneCaller, Slot, preferring


class BaselineCaller(PhoneCaller):
    """A call like the recorded ones (FACTS-calcom-retell.md section 4.1): up to half a minute until the question, 15 to
    45 s of talk between "it is free" and the booking, then good-bye or a change."""

    def call(self) -> None:
        day = self.day(self.random.randrange(self.options.days))
        person = self.random.choice(self.people)
        wish = self.random.choice(self.start_times(person, day))

        self.start_call()
        self.think(15, 30)
        offers = self.check_availability(day, person)
        self.talk()
        known = self.start_times(person, day) if offers is None else offers
        booking = self.book_one_of(preferring(known, wish))
        if booking:
            self.change_mind(booking, known)
        self.think(2, 5)
        self.end_call()

    def change_mind(self, booking: Booking, others: list[Slot]) -> None:
        drawn = self.random.random()
        elsewhere = [slot for slot in others if not slot.overlaps(booking.slot)]
        if drawn < self.options.cancel_share:
            self.think(10, 20)
            self.cancel(booking)
        elif drawn < self.options.cancel_share + self.options.move_share and elsewhere:
            self.think(10, 20)
            self.move(booking, self.random.choice(elsewhere))

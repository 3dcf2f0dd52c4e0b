"""What a callers' file is written with: a phone caller who speaks to the agent, step after step.

    class Patient(PhoneCaller):
        def call(self) -> None:
            self.start_call()
            person = self.random.choice(self.people)
            offers = self.check_availability(self.day(1), person)
            self.talk()
            self.book_one_of(offers or self.start_times(person, self.day(1)))
            self.end_call()

Such a file is an ordinary Locust file: `locust -f patients.py --host http://…` works too, closed-loop and unrecorded.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from locust import FastHttpUser, constant, task
from locust.env import Environment

from slotproof.load.arrivals import Arrival
from slotproof.load.outcome import Answer
from slotproof.load.retell_call import RetellCall
from slotproof.load.setting import CallStopped, Setting, plain_arrivals, plain_setting
from slotproof.load.voice_platform import FUNCTION_TIMEOUT_S, FunctionCall, VoicePlatform
from slotproof.load.wire import Line, Subject, use_as_platform
from slotproof.plan.scenario import Options
from slotproof.plan.world import Branch, Company, Person, Service, World, start_times_s
from slotproof.record.schemas import Kind, Outcome

PENDING_WAIT_S = 10.0
PENDING_ASKS = 3
_ANALYSIS_S = (2.0, 5.0)


@dataclass(frozen=True)
class Persona:
    """Who calls. The number is unique in the run, so that (phone, person, range) finds a booking anywhere."""

    call: int
    phone: str
    name: str


@dataclass(frozen=True)
class Slot:
    """A time of one person; UTC seconds. `further`: the later parts of a service that has several."""

    person: Person
    start_s: int
    end_s: int
    further: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        return ((self.start_s, self.end_s), *self.further)

    def overlaps(self, other: Slot) -> bool:
        return self.person.id == other.person.id and any(
            start < other_end and other_start < end
            for start, end in self.parts
            for other_start, other_end in other.parts
        )


@dataclass(frozen=True)
class Booking:
    """A confirmed booking: the request that made it, where it is now, and the id that the service gave it."""

    request: int
    slot: Slot
    external_id: str


@dataclass(frozen=True)
class Reply:
    """What the agent could say about a booking, a cancellation or a move; `booking` when it is confirmed."""

    outcome: Outcome
    booking: Booking | None = None

    @property
    def may_try_again(self) -> bool:
        """The wish was definitely not fulfilled: another time can be asked for without holding two."""
        return self.outcome in (Outcome.TAKEN, Outcome.NONE)


class PhoneCaller(FastHttpUser):
    """One phone call. Subclasses write `call`; all durations are life-size seconds, divided by the time scale.

    `random` derives from the plan's seed and the call's number: a seed replays every choice.
    """

    abstract = True
    wait_time = constant(0)
    max_redirects = 0
    max_retries = 0
    network_timeout = connection_timeout = FUNCTION_TIMEOUT_S

    setting: ClassVar[Setting | None] = None
    """Given by the load worker; None under plain Locust."""

    function_repeats: ClassVar[int] = 1
    """How often the platform repeats a function call whose outcome it does not know. Retell's documents disagree (0 by
    default, or up to 2), and repeats after slow replies were seen (FACTS-calcom-retell.md sections 2.6 and 4.1)."""

    persona: Persona
    random: random.Random
    company: Company
    branch: Branch
    arrival: Arrival

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        use_as_platform(self.client)
        self._setting = type(self).setting or plain_setting()

    def call(self) -> None:
        """The call, step by step. Hanging up may be left to the platform."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its call is")

    def serve(self, arrival: Arrival) -> None:
        """Make the planned call, from ringing until its last webhook is delivered, or until the load stops."""
        self._ring(arrival)
        try:
            self.call()
            if not self._hung_up:
                self.end_call()
        except CallStopped:
            pass
        self._platform.finish()

    @task
    def _one_call(self) -> None:
        """What plain Locust runs."""
        self.serve(plain_arrivals().next())

    # -- what the caller knows ------------------------------------------------------------------------------------

    @property
    def options(self) -> Options:
        return self._setting.options

    @property
    def world(self) -> World:
        return self._setting.world

    @property
    def people(self) -> tuple[Person, ...]:
        return self.branch.people

    @property
    def service(self) -> Service:
        return self.branch.services[0]

    @property
    def arrived_s(self) -> float:
        """Life-size seconds from the load's start to this call."""
        return self.arrival.at_s

    def day(self, number: int) -> date:
        """The n-th day of the run's calendar, from 0; never beyond `options.days`."""
        return self.world.anchor_date + timedelta(days=min(number, self.options.days - 1))

    def start_times(self, person: Person, day: date) -> list[Slot]:
        """Every time that the person's opening hours allow on that day, sold or not."""
        return [self._slot(person, start) for start in start_times_s(self.branch, person, self.service, day)]

    # -- the steps ------------------------------------------------------------------------------------------------

    def start_call(self) -> None:
        """The agent takes the call."""
        self._platform.ring()
        self._platform.webhook("call_started")

    def think(self, low_s: float, high_s: float) -> None:
        """Say nothing for a while, or talk about something else."""
        self._line.pause(self.random.uniform(low_s, high_s))
        self._line.wait()

    def talk(self) -> None:
        """The talk between hearing the free times and asking for one (`options.talk_s`)."""
        self.think(*self.options.talk_s)

    def check_availability(self, day: date, person: Person | None = None) -> list[Slot] | None:
        """The free times that the agent names, of one person or of anyone; None when it cannot say."""
        args: dict[str, Any] = {"service_id": self.service.id, "date": day.isoformat()}
        if person is not None:
            args["person_id"] = person.id
        whole = person is not None and len(person.parts_min(self.service)) == 1
        subject = Subject(self._tenant, str(person.id) if person and whole else None)
        answer = self._perform(self._new(Kind.AVAILABILITY, "check_availability", args, subject))
        if answer.outcome is not Outcome.OK:
            return None
        people = {known.id: known for known in self.people}
        return [
            self._slot(people[offer.person_id], offer.start_s) for offer in answer.offered if offer.person_id in people
        ]

    def book(self, slot: Slot) -> Reply:
        """Ask for that time. While the answer is pending the caller asks again, every 10 s, at most three times."""
        args = {
            "service_id": self.service.id,
            "person_id": slot.person.id,
            "start": _iso(slot.start_s),
            "customer_name": self.persona.name,
        }
        function = self._new(Kind.BOOK, "book_appointment", args, self._subject(slot))
        answer = self._until_decided(function)
        if answer.outcome is not Outcome.OK or answer.booking_id is None:
            return Reply(answer.outcome)
        return Reply(answer.outcome, Booking(function.ask.request, slot, answer.booking_id))

    def book_one_of(self, slots: Iterable[Slot], tries: int = 3) -> Booking | None:
        """Try the times in their order until one is confirmed; another only after a definite no, and a short talk.

        No time is asked for twice: to the service, that would be a repeat of the same function call.
        """
        for number, slot in enumerate(dict.fromkeys(slots)):
            if number == tries:
                break
            if number:
                self.think(2, 5)
            reply = self.book(slot)
            if not reply.may_try_again:
                return reply.booking
        return None

    def cancel(self, booking: Booking) -> Reply:
        """Give the booking back."""
        subject = replace(self._subject(booking.slot), booking=booking.request)
        args = {"booking_id": booking.external_id}
        function = self._new(Kind.CANCEL, "cancel_appointment", args, subject)
        return Reply(self._until_decided(function).outcome)

    def move(self, booking: Booking, to: Slot) -> Reply:
        """Ask for another time of the same person instead. The reply's booking stands at the new time.

        Raises ValueError for a service of several parts, which cannot be moved.
        """
        if booking.slot.further:
            raise ValueError("a service of several parts cannot be moved: cancel it and book another time")
        subject = replace(
            self._subject(booking.slot), booking=booking.request, to_start_s=to.start_s, to_end_s=to.end_s
        )
        args = {"booking_id": booking.external_id, "start": _iso(to.start_s)}
        answer = self._until_decided(self._new(Kind.MOVE, "reschedule_appointment", args, subject))
        if answer.outcome is not Outcome.OK:
            return Reply(answer.outcome)
        moved = Booking(booking.request, to, answer.booking_id or booking.external_id)
        return Reply(answer.outcome, moved)

    def end_call(self) -> None:
        """Hang up; the platform reports the end, and a little later what it made of the transcript."""
        self._hung_up = True
        self._platform.hang_up()
        self._platform.webhook("call_ended")
        self._platform.webhook("call_analyzed", after_s=self.random.uniform(*_ANALYSIS_S))

    # -- behind the steps -----------------------------------------------------------------------------------------

    def _ring(self, arrival: Arrival) -> None:
        setting = self._setting
        self.arrival = arrival
        self.random = random.Random(f"call/{setting.seed}/{arrival.call}")
        self.company = self.random.choice(setting.world.companies)
        self.branch = self.random.choice(self.company.branches)
        speaker = setting.conversations.draw(self.random)
        self.persona = Persona(arrival.call, f"+4915{arrival.call:09d}", speaker.name)
        self._tenant = str(self.company.id)
        self._hung_up = False
        self._line = Line(setting, self.client, arrival.due_ns)
        retell_call = RetellCall(
            call_id=setting.identifiers.call_id(arrival.call),
            from_number=self.persona.phone,
            to_number=self.branch.phone,
            transcript=speaker.transcript,
        )
        self._platform = VoicePlatform(setting, self.client, arrival.call, retell_call, self._tenant, self._line)

    def _new(self, kind: Kind, name: str, args: Mapping[str, Any], subject: Subject) -> FunctionCall:
        return self._platform.new_function_call(kind, name, args, subject)

    def _slot(self, person: Person, start_s: int) -> Slot:
        first, *further = [
            (start_s + begin_min * 60, start_s + (begin_min + length_min) * 60)
            for begin_min, length_min in person.parts_min(self.service)
        ]
        return Slot(person, *first, tuple(further))

    def _perform(self, function: FunctionCall) -> Answer:
        return self._platform.perform(function, self.function_repeats)

    def _until_decided(self, function: FunctionCall) -> Answer:
        """Ask again with the same request while it is pending: a later yes or no counts, anything else does not."""
        answer = self._perform(function)
        if answer.outcome is not Outcome.PENDING:
            return answer
        for _ in range(PENDING_ASKS):
            self._line.pause(PENDING_WAIT_S)
            again = self._perform(function)
            if again.outcome in (Outcome.OK, Outcome.TAKEN, Outcome.NOT_HELD):
                return again
        return answer

    def _subject(self, slot: Slot) -> Subject:
        return Subject(self._tenant, str(slot.person.id), slot.start_s, slot.end_s, further=slot.further)


def preferring(slots: Sequence[Slot], wish: Slot) -> list[Slot]:
    """The wish first when it is among the slots, then the others by how near they are to it."""
    return sorted(slots, key=lambda slot: abs(slot.start_s - wish.start_s))


def _iso(utc_s: int) -> str:
    return datetime.fromtimestamp(utc_s, UTC).isoformat()

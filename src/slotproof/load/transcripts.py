"""What is said on the phone, in German and English: made before the load, so that none has to be made while it runs.

The frame of a conversation is fixed; names and the small talk that gives it its length are Faker's. Retell sends the
text and an object with the time of every word (FACTS-calcom-retell.md section 2.2), so that an hour's call has
megabytes: both are kept encoded, since encoding megabytes would hold up every other call of this process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from slotproof.load.json_text import encode
from slotproof.plan.scenario import Locale, Transcripts

POOL_SIZE = 50
LONG_POOL_SIZE = 3
_NAMES = 200
_SENTENCES = 500
_SPOKEN_FIRST = 3  # what has been said when the first function is called
_WORD_S = 0.4

Turn = tuple[str, str]


@dataclass(frozen=True)
class _Phrases:
    greetings: tuple[str, ...]
    wishes: tuple[str, ...]
    checking: tuple[str, ...]
    closings: tuple[str, ...]


_PHRASES: Mapping[Locale, _Phrases] = MappingProxyType(
    {
        "de_DE": _Phrases(
            (
                "Guten Tag, hier ist die Terminannahme. Was kann ich für Sie tun?",
                "Salon, schönen guten Tag! Wie darf ich Ihnen helfen?",
            ),
            (
                "Hallo, ich hätte gern einen Termin zum Haareschneiden.",
                "Ja, guten Tag, haben Sie nächste Woche noch etwas frei?",
                "Grüß Gott, ich bräuchte dringend einen Haarschnitt.",
            ),
            ("Einen Augenblick, ich schaue im Kalender nach.", "Gern, einen Moment bitte …"),
            ("Vielen Dank für Ihren Anruf, auf Wiederhören!", "Alles klar, bis dann und einen schönen Tag!"),
        ),
        "en_US": _Phrases(
            ("Good morning, this is the booking desk. How can I help you?", "Hello! What can I do for you?"),
            (
                "Hi, I'd like to book an appointment, please.",
                "Hello, have you got anything free next week?",
                "I need a haircut, and it is rather urgent.",
            ),
            ("One moment, I'll look at the calendar.", "Sure, let me see …"),
            ("Thank you for calling, goodbye!", "All right, see you then. Have a nice day!"),
        ),
    }
)


@dataclass(frozen=True)
class Transcript:
    """One conversation: (role, sentence) in order; role is agent or user."""

    turns: tuple[Turn, ...]

    def text(self, turns: int | None = None) -> str:
        """The first `turns` turns (all when None) as Retell's plain text."""
        return "".join(f"{role.capitalize()}: {sentence}\n" for role, sentence in self.turns[:turns])

    def objects(self) -> list[dict[str, object]]:
        """The same with the time of each word, in seconds from the call's start."""
        return list(self._timed_turns())

    @cached_property
    def so_far(self) -> bytes:
        """`"transcript":…` as it stands when the first function is called."""
        return b'"transcript":' + encode(self.text(_SPOKEN_FIRST))

    @cached_property
    def whole(self) -> bytes:
        """`"transcript":…,"transcript_object":…` of the ended call."""
        return b'"transcript":' + encode(self.text()) + b',"transcript_object":' + encode(self.objects())

    def _timed_turns(self) -> Iterator[dict[str, object]]:
        spoken = 0
        for role, sentence in self.turns:
            words = []
            for word in sentence.split():
                words.append({"word": word, "start": _at_s(spoken), "end": _at_s(spoken + 1)})
                spoken += 1
            yield {"role": role, "content": sentence, "words": words}


@dataclass(frozen=True)
class Speaker:
    """Who calls, and what will have been said."""

    name: str
    transcript: Transcript


@dataclass(frozen=True)
class _Language:
    names: tuple[str, ...]
    usual: tuple[Transcript, ...]
    long: tuple[Transcript, ...]


class Conversations:
    """The callers' names and conversations of a run. The same seed makes the same."""

    def __init__(self, seed: int, wanted: Transcripts) -> None:
        self._long_share = wanted.long_share
        self._languages = tuple(_make_language(seed, locale, wanted) for locale in wanted.locales)

    def draw(self, generator: random.Random) -> Speaker:
        """A caller who speaks one of the languages; a share of them talks very long."""
        language = generator.choice(self._languages)
        pool = language.long if generator.random() < self._long_share else language.usual
        return Speaker(generator.choice(language.names), generator.choice(pool))


def _make_language(seed: int, locale: Locale, wanted: Transcripts) -> _Language:
    from faker import Faker  # costs 0.3 s to import: paid while the stack starts

    faker = Faker(locale)
    faker.seed_instance(seed)
    names = tuple(f"{faker.first_name()} {faker.last_name()}" for _ in range(_NAMES))
    talk = tuple(faker.sentence(nb_words=10) for _ in range(_SENTENCES))
    generator = random.Random(f"transcripts/{seed}/{locale}")

    def usual() -> Transcript:
        return _conversation(_PHRASES[locale], talk, generator, generator.randint(*wanted.turns))

    def long() -> Transcript:
        per_turn = sum(len(sentence.encode()) for sentence in talk) / len(talk) + len("Agent: \n")
        return _conversation(_PHRASES[locale], talk, generator, round(wanted.long_kb * 1024 / per_turn))

    long_ones = LONG_POOL_SIZE if wanted.long_share else 0
    pool = _Language(names, tuple(usual() for _ in range(POOL_SIZE)), tuple(long() for _ in range(long_ones)))
    for transcript in (*pool.usual, *pool.long):
        _ = transcript.so_far, transcript.whole  # encoded now, not while the load runs
    return pool


def _conversation(phrases: _Phrases, talk: Sequence[str], generator: random.Random, turns: int) -> Transcript:
    """Greeting, wish and look-up, as much talk as there is room for, and the good-bye: at least four turns."""
    speakers = ("user", "agent")
    between = [(speakers[number % 2], generator.choice(talk)) for number in range(turns - 4)]
    return Transcript(
        (
            ("agent", generator.choice(phrases.greetings)),
            ("user", generator.choice(phrases.wishes)),
            ("agent", generator.choice(phrases.checking)),
            *between,
            ("agent", generator.choice(phrases.closings)),
        )
    )


def _at_s(words: int) -> float:
    return round(words * _WORD_S, 1)

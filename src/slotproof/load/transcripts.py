"""A pool of German phone transcripts, made before the load starts so that none has to be made while it runs."""

from __future__ import annotations

import random
from dataclasses import dataclass

POOL_SIZE = 50

_GREETINGS = (
    "Guten Tag, hier ist die Terminannahme. Was kann ich für Sie tun?",
    "Salon, schönen guten Tag! Wie darf ich Ihnen helfen?",
)
_WISHES = (
    "Hallo, ich hätte gern einen Termin zum Haareschneiden.",
    "Ja, guten Tag, haben Sie nächste Woche noch etwas frei?",
    "Grüß Gott, ich bräuchte dringend einen Haarschnitt.",
)
_CHECKING = (
    "Einen Augenblick, ich schaue im Kalender nach.",
    "Gern, einen Moment bitte.",
)
_OFFERS = (
    "Am Vormittag wäre noch etwas frei. Passt Ihnen das?",
    "Ich könnte Ihnen zwei Zeiten anbieten. Lieber früh oder spät?",
    "Da hätte ich noch eine Lücke. Soll ich sie für Sie eintragen?",
)
_ANSWERS = (
    "Ja, das passt wunderbar.",
    "Hm, lieber etwas früher, wenn es geht.",
    "Moment, ich sehe kurz in meinem Kalender nach … ja, das geht.",
)
_CLOSINGS = (
    "Vielen Dank für Ihren Anruf, auf Wiederhören!",
    "Alles klar, bis dann und einen schönen Tag!",
)
_TURNS = (
    ("agent", _GREETINGS),
    ("user", _WISHES),
    ("agent", _CHECKING),
    ("agent", _OFFERS),
    ("user", _ANSWERS),
    ("agent", _CLOSINGS),
)


@dataclass(frozen=True)
class Transcript:
    """One conversation: (role, sentence) in order; role is agent or user."""

    turns: tuple[tuple[str, str], ...]

    def text(self, turns: int | None = None) -> str:
        """The first `turns` turns (all when None) as Retell's plain text."""
        return "".join(f"{role.capitalize()}: {sentence}\n" for role, sentence in self.turns[:turns])

    def objects(self) -> list[dict[str, str]]:
        return [{"role": role, "content": sentence} for role, sentence in self.turns]


def make_pool(seed: int, size: int = POOL_SIZE) -> tuple[Transcript, ...]:
    """The same seed makes the same pool."""
    generator = random.Random(f"transcripts/{seed}")
    return tuple(
        Transcript(tuple((role, generator.choice(sentences)) for role, sentences in _TURNS)) for _ in range(size)
    )

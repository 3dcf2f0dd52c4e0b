"""What a load worker and the harness tell each other: one JSON object a line, over the worker's stdin and stdout.

    worker  -> harness   {"event": "ready"}
    harness -> worker    {"go": <monotonic ns of the load's start>, …}    fields of Go
    worker  -> harness   {"event": "stats", …}       once a second, fields of Stats
    harness -> worker    {"stop": true}              optional; SIGTERM and SIGINT do the same
    worker  -> harness   {"event": "done", …}        fields of Done; then it exits with 0

A worker whose stdin ends has lost its harness and stops at once. Neither side imports the other's machinery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

API_KEY_VARIABLE: Final = "SLOTPROOF_RETELL_API_KEY"
"""Environment variable with the key that signs what the platform sends: a secret, never written to the run folder."""

READY: Final = "ready"
STATS: Final = "stats"
DONE: Final = "done"


@dataclass(frozen=True)
class Go:
    """When the load starts, and where it goes. What is None, the worker takes from its command line and environment.

    The workers are started before the stack, whose addresses come last. The key travels here, not through a file.
    """

    t0_ns: int
    host: str | None = None
    api_key: str | None = None
    retell_control: str | None = None


@dataclass(frozen=True)
class Stats:
    """Counts since the start; lags concern the last second. `errors` counts ops of unknown outcome."""

    t_ns: int
    in_progress: int
    started: int
    done: int
    ops: int
    errors: int
    none: int
    confirmed: int
    taken: int
    lag_p99_ms: float
    lag_max_ms: float

    def figures(self) -> dict[str, float]:
        """All but the time, by name: what a sampler writes down."""
        return {name: float(value) for name, value in asdict(self).items() if name != "t_ns"}

    @classmethod
    def total(cls, parts: Iterable[Stats]) -> dict[str, float]:
        """Figures of several workers together: sums of counts, the worst of lags; zeros when there is none."""
        total = dict.fromkeys((field.name for field in fields(cls) if field.name != "t_ns"), 0.0)
        for part in parts:
            for name, value in part.figures().items():
                total[name] = max(total[name], value) if name.startswith("lag_") else total[name] + value
        return total


@dataclass(frozen=True)
class Done:
    """`planned` counts this worker's calls; `crashed` those that an error in the callers' file ended."""

    planned: int
    started: int
    ops: int
    crashed: int


def event_line(event: str, content: Stats | Done | None = None) -> str:
    return json.dumps({"event": event, **(asdict(content) if content else {})}) + "\n"


def go_line(go: Go) -> str:
    return (
        json.dumps({"go": go.t0_ns, "host": go.host, "api_key": go.api_key, "retell_control": go.retell_control}) + "\n"
    )


def read_go(message: Mapping[str, Any]) -> Go:
    """Raises KeyError or ValueError when the message gives no go."""
    return Go(int(message["go"]), *(message.get(name) for name in ("host", "api_key", "retell_control")))


def stop_line() -> str:
    return json.dumps({"stop": True}) + "\n"


def parse(line: str | bytes) -> Mapping[str, Any]:
    """One line's object. Raises ValueError for anything else."""
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError(f"not an object: {line!r}")  # noqa: TRY004 - the text is wrong, not a type in this program
    return fields

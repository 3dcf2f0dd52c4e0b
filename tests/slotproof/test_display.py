"""What a person reads while a run goes on, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from slotproof.display import LiveDisplay, PlainDisplay, QuietDisplay, event_line, make_display
from slotproof.faults.timeline import FaultProgress, FaultState
from slotproof.progress import Aborted, Drained, Event, LoadEnded, LoadTick, StackMessage, StackUp

TICK = LoadTick(
    elapsed_s=12.0,
    total_s=45.0,
    in_progress=31,
    done=1204,
    unknown=2,
    confirmed=310,
    lag_ms=1.4,
    faults=(FaultProgress("stall", "Cal.com works 35 s longer", FaultState.BITING, "[held] 3 requests"),),
)
EVENTS: list[Event] = [
    StackMessage("building [toxiproxy]"),
    StackUp(1.94, ("postgres 18.3", "valkey 9.0"), ("postgres", "redis")),
    TICK,
    LoadEnded(1204),
    Drained(True, "", 1.5),
    Drained(False, "2 rows are pending", 12.0),
    Aborted("stopped by SIGINT"),
]


def _console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=200, color_system=None), text


def test_every_event_is_one_plain_line() -> None:
    assert [event_line(event) for event in EVENTS] == [
        "stack: building [toxiproxy]",
        "stack: up in 1.9 s: postgres 18.3, valkey 9.0; 2 links go through Toxiproxy",
        "load: 12 of 45 s, 31 calls in progress, 1,204 done, 310 booked, 2 no answer, lag 1 ms; faults: stall biting",
        "load: ended, 1204 calls",
        "drain: quiet after 1.5 s",
        "drain: not quiet after 12.0 s: 2 rows are pending",
        "aborted: stopped by SIGINT; healing and reporting what was seen",
    ]


def test_a_pipe_gets_whole_lines_without_control_characters() -> None:
    console, text = _console(terminal=False)
    display = PlainDisplay(console)
    for event in [*EVENTS, TICK, TICK]:
        display(event)
    display.close()
    lines = text.getvalue().splitlines()
    assert "\x1b" not in text.getvalue()
    assert len(lines) == len(EVENTS)  # the load is said every few seconds only
    assert "stack: building [toxiproxy]" in lines


def test_a_terminal_keeps_the_finished_steps() -> None:
    console, text = _console(terminal=True)
    display = LiveDisplay(console)
    for event in EVENTS:
        display(event)
    display.close()
    shown = text.getvalue()
    for part in ("up in 1.9 s", "stall", "[held] 3 requests", "1,204 calls", "2 rows are pending", "SIGINT"):
        assert part in shown


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, LiveDisplay), (False, False, PlainDisplay), (True, True, QuietDisplay)],
)
def test_the_display_fits_its_place(*, terminal: bool, quiet: bool, kind: type) -> None:
    console, text = _console(terminal=terminal)
    display = make_display(console, quiet=quiet)
    assert isinstance(display, kind)
    display.close()
    assert text.getvalue() == ""

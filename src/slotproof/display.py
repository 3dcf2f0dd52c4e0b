"""What a person sees while a run goes on: a live block on a terminal, plain lines elsewhere; both consume events."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from slotproof.faults.timeline import FaultProgress, FaultState
from slotproof.progress import (
    Aborted,
    Drained,
    Event,
    Judged,
    LoadEnded,
    LoadTick,
    RunPlanned,
    StackMessage,
    StackUp,
)

_PLAIN_EVERY_S = 5.0
_BAR_WIDTH = 26
_MARKS = {
    FaultState.WAITING: ("·", "dim"),
    FaultState.INJECTED: ("▸", "yellow"),
    FaultState.BITING: ("█", "yellow"),
    FaultState.HEALED: ("✓", "green"),
    FaultState.UNPROVEN: ("?", "red"),
    FaultState.FAILED: ("✕", "red"),
}


class Display(Protocol):
    """Consumes the events of one or more runs."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def make_display(console: Console, *, quiet: bool) -> Display:
    """The display that fits: nothing, a live block, or a line an event."""
    if quiet:
        return QuietDisplay()
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class QuietDisplay:
    def __call__(self, event: Event) -> None:
        return

    def close(self) -> None:
        return


def headline(event: RunPlanned) -> str:
    plan = event.plan
    return (
        f"slotproof {plan.slotproof_version}   {plan.title} · target {plan.target.label} · "
        f"time scale {plan.time_scale:g} · seed {plan.seed}"
    )


def event_line(event: Event) -> str | None:
    """One event as one plain line, without control characters; None for events that need no line."""
    match event:
        case RunPlanned():
            return "\n".join([headline(event), *(f"note: {warning}" for warning in event.plan.warnings)])
        case StackMessage(text):
            return f"stack: {text}"
        case StackUp(took_s, parts, links):
            return f"stack: up in {took_s:.1f} s: {', '.join(parts)}; {len(links)} links go through Toxiproxy"
        case LoadTick():
            faults = "; ".join(f"{fault.fault_id} {fault.state}" for fault in event.faults)
            return f"load: {tick_text(event)}" + (f"; faults: {faults}" if faults else "")
        case LoadEnded(calls):
            return f"load: ended, {calls} calls"
        case Drained(quiet, why, waited_s):
            return (
                f"drain: quiet after {waited_s:.1f} s" if quiet else f"drain: not quiet after {waited_s:.1f} s: {why}"
            )
        case Aborted(why):
            return f"aborted: {why}; healing and reporting what was seen"
        case Judged():
            return None


def tick_text(tick: LoadTick) -> str:
    return (
        f"{min(tick.elapsed_s, tick.total_s):.0f} of {tick.total_s:.0f} s, {tick.in_progress} calls in progress, "
        f"{tick.done:,} done, {tick.confirmed:,} booked, {tick.unknown:,} no answer, lag {tick.lag_ms:.0f} ms"
    )


class PlainDisplay:
    """For CI and pipes: one line an event; the load every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_tick_s = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, LoadTick):
            if time.monotonic() - self._last_tick_s < _PLAIN_EVERY_S:
                return
            self._last_tick_s = time.monotonic()
        line = event_line(event)
        if line is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        return


class LiveDisplay:
    """For a terminal: finished steps stay as lines, the load is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case RunPlanned():
                self._console.print(Text(headline(event), style="bold"))
                for warning in event.plan.warnings:
                    self._console.print(Text(f"  note       {warning}", style="dim"))
            case StackMessage(text):
                self._console.print(Text(f"  stack      {text}", style="dim"))
            case StackUp(took_s, parts, links):
                self._step("✓", "stack", f"up in {took_s:.1f} s: {', '.join(parts)}")
                self._step("✓", "links", f"{len(links)} go through Toxiproxy: {', '.join(links)}")
            case LoadTick():
                self._redraw(_tick_block(event))
            case LoadEnded(calls):
                self._end_live()
                self._step("✓", "load", f"{calls:,} calls")
            case Drained(quiet, why, waited_s):
                text = f"nothing moves any more after {waited_s:.1f} s" if quiet else f"after {waited_s:.1f} s: {why}"
                self._step("✓" if quiet else "?", "drain", text)
            case Aborted(why):
                self._end_live()
                self._step("✕", "aborted", f"{why}; healing and reporting what was seen")
            case Judged():
                self._end_live()

    def close(self) -> None:
        self._end_live()

    def _redraw(self, block: RenderableType) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(block, refresh=True)

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _step(self, mark: str, name: str, text: str) -> None:
        style = {"✓": "green", "✕": "red", "?": "yellow"}[mark]
        self._console.print(Text.assemble((f"{mark} ", style), (f"{name:<9}  ", "bold"), text))


def _tick_block(tick: LoadTick) -> RenderableType:
    load = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(tick.total_s, 1e-9), completed=min(tick.elapsed_s, tick.total_s), width=_BAR_WIDTH)
    load.add_row(Text("▸ load     ", style="bold"), bar, tick_text(tick))
    return Group(load, *(_fault_line(fault) for fault in tick.faults))


def _fault_line(fault: FaultProgress) -> Text:
    mark, style = _MARKS[fault.state]
    words = f"{fault.state}: {fault.observed}" if fault.observed else f"{fault.state}: {fault.sentence}"
    return Text.assemble((f"{mark} ", style), f"{fault.fault_id:<9}  ", words)

"""The commands that run, judge and report. Thin: each calls one function of the library and prints its answer."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slotproof.demo import DemoPart, run_demo
from slotproof.display import make_display
from slotproof.errors import UsageError
from slotproof.evaluate import Evaluation, evaluate, judge_run, write_machine_output
from slotproof.exit_codes import ExitCode, worst_exit_code
from slotproof.faults.registry import fault_kinds
from slotproof.pipeline import Interruption, run
from slotproof.plan.locate import Shelf, names
from slotproof.plan.resolve import Choices
from slotproof.plan.yaml_file import read_yaml
from slotproof.report.terminal import FinishedRun, closing_block, side_by_side
from slotproof.run_folder import RunFolder
from slotproof.stack import catalogue
from slotproof.stack.doctor import Status, examine

_DEFAULT_OUT = Path("reports")
_PIPED_WIDTH = 200


@click.command("run", short_help="Run scenarios: GO, NO-GO, INCONCLUSIVE or INVALID.")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("--experiment", metavar="NAME", envvar="SLOTPROOF_EXPERIMENT", help="Faults on a timeline (see `list`).")
@click.option(
    "--profile",
    metavar="NAME",
    envvar="SLOTPROOF_PROFILE",
    help="Flaws of the service: hardened (none) or as-reviewed (seven).",
)
@click.option("--flaws", metavar="F,...", envvar="SLOTPROOF_FLAWS", help="Flaws to switch on, instead of a profile.")
@click.option("--time-scale", type=float, envvar="SLOTPROOF_TIME_SCALE", help="Divide every wait by this, 1 to 30.")
@click.option("--seed", type=int, envvar="SLOTPROOF_SEED", help="Repeat the plan of an earlier run.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=_DEFAULT_OUT, show_default=True,
              envvar="SLOTPROOF_OUT", help="Where run folders land.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="Only the closing block.")
@click.pass_context
def run_command(
    context: click.Context,
    scenarios: tuple[str, ...],
    experiment: str | None,
    profile: str | None,
    flaws: str | None,
    time_scale: float | None,
    seed: int | None,
    out: Path,
    quiet: bool,
) -> None:
    """Run scenarios and answer GO, NO-GO, INCONCLUSIVE or INVALID; the worst answer is the exit code."""
    console = _console()
    codes: list[int] = []
    with _interruptible() as interruption:
        for scenario in scenarios:
            choices = Choices(
                scenario=scenario,
                experiment=experiment,
                profile=profile,
                flaws=None if flaws is None else tuple(name.strip() for name in flaws.split(",") if name.strip()),
                time_scale=time_scale,
                seed=seed,
                origins=_origins(context),
            )
            display = make_display(console, quiet=quiet)
            try:
                evaluation = run(choices, out, display, interruption)
            finally:
                display.close()
            _print_closing(console, evaluation)
            codes.append(evaluation.judgement.exit_code)
            if interruption.asked:
                break
    context.exit(worst_exit_code(codes))


@click.command("demo", short_help="Two runs, with and without flaws: NO-GO, then GO.")
@click.option("--seed", type=int, envvar="SLOTPROOF_SEED", help="Repeat an earlier demo; drawn when not given.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=_DEFAULT_OUT, show_default=True,
              envvar="SLOTPROOF_OUT", help="Where run folders land.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="Only the closing blocks.")
@click.pass_context
def demo_command(context: click.Context, seed: int | None, out: Path, quiet: bool) -> None:
    """Run `rush` under `slow_calcom` twice: the system as reviewed sells slots twice, the hardened one does not."""
    console = _console()
    display = make_display(console, quiet=quiet)
    with _interruptible() as interruption:
        try:
            parts = run_demo(secrets.randbelow(1_000_000) if seed is None else seed, out, display, interruption)
        finally:
            display.close()
    for part in parts:
        _print_closing(console, part.evaluation)
    _print_demo(console, parts)
    context.exit(worst_exit_code([part.exit_code for part in parts]))


@click.command("check", short_help="Judge a run folder again, offline.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN")
@click.pass_context
def check_command(context: click.Context, folder: Path) -> None:
    """Judge a run folder again, offline; also one that a killed run left."""
    run_folder = RunFolder.open(folder)
    evaluation = judge_run(run_folder)
    write_machine_output(run_folder, evaluation)
    _print_closing(_console(), evaluation)
    context.exit(evaluation.judgement.exit_code)


@click.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN")
def report_command(folder: Path) -> None:
    """Write the reports of a run folder again."""
    run_folder = RunFolder.open(folder)
    evaluate(run_folder)
    click.echo(str(_shown(run_folder.report)))


@click.command("list", short_help="Scenarios, experiments, faults, profiles, flaws.")
def list_command() -> None:
    """List what can be named: scenarios, experiments, faults, profiles and flaws."""
    console = _console()
    for title, shelf in (("scenarios", Shelf.SCENARIOS), ("experiments", Shelf.CHAOS)):
        _print_names(console, title, {name: _title(path) for name, path in names(shelf).items()})
    _print_names(console, "faults", {name: _first_line(kind) for name, kind in fault_kinds().items()})
    profiles = {name: ", ".join(sorted(flaws)) if flaws else "no flaw" for name, flaws in catalogue.profiles().items()}
    _print_names(console, "profiles", profiles)
    _print_names(console, "flaws", catalogue.flaws())


@click.command("doctor")
@click.pass_context
def doctor_command(context: click.Context) -> None:
    """Say what is missing on this machine, and how to get it."""
    console = _console()
    table = _grid()
    findings = examine()
    for finding in findings:
        mark = Text("✓", style="green") if finding.status is Status.OK else Text("✕", style="red")
        table.add_row(mark, finding.part, finding.detail)
        if finding.how_to_get:
            table.add_row("", "", Text(finding.how_to_get, style="dim"))
    console.print(table)
    context.exit(ExitCode.GO if all(finding.status is Status.OK for finding in findings) else ExitCode.USAGE)


def _console() -> Console:
    """Rich honours NO_COLOR itself; without a terminal neither lines nor tables are wrapped."""
    piped = not sys.stdout.isatty()
    return Console(soft_wrap=piped, width=_PIPED_WIDTH if piped else None, highlight=False)


def _grid() -> Table:
    """Columns two spaces apart; what is too long goes on in the next line and is never cut."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    return table


@contextmanager
def _interruptible() -> Iterator[Interruption]:
    """The first Ctrl-C or SIGTERM asks the run to stop and report, a second one ends it at once (`Interruption`)."""
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        interruption.interrupt(number)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _origins(context: click.Context) -> dict[str, str]:
    """Who said what: command line > environment > scenario file or default."""
    origins = {}
    for name in ("experiment", "profile", "flaws", "time_scale", "seed", "out"):
        source = context.get_parameter_source(name)
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT"):
            origins[name] = "command line" if source.name == "COMMANDLINE" else "environment"
    return origins


def _finished(evaluation: Evaluation) -> FinishedRun:
    folder = evaluation.record.folder
    assert folder is not None  # an evaluation of the command line always comes from a folder
    return FinishedRun(evaluation.plan, evaluation.record, evaluation.judgement, _shown(folder.report))


def _print_closing(console: Console, evaluation: Evaluation) -> None:
    console.print()
    console.print(closing_block(_finished(evaluation)))
    console.print()


def _print_demo(console: Console, parts: list[DemoPart]) -> None:
    for line in side_by_side([_finished(part.evaluation) for part in parts]):
        console.print(line)
    unexpected = [part for part in parts if not part.as_expected]
    for part in unexpected:
        judgement = part.evaluation.judgement
        console.print(Text(f"  {part.profile} was expected to answer otherwise: {judgement.reason}", style="red"))
    if not unexpected and len(parts) > 1:
        console.print(Text("  as expected: the flawed system is caught, the hardened one passes", style="green"))


def _print_names(console: Console, title: str, entries: dict[str, str]) -> None:
    console.print(Text(title, style="bold"))
    table = _grid()
    for name, text in entries.items():
        table.add_row(f"  {name}", Text(text, style="dim"))
    console.print(table)


def _title(path: Path) -> str:
    try:
        return str(read_yaml(path).data.get("title") or "")
    except UsageError as error:
        return f"cannot be read: {error.what}"


def _first_line(thing: Callable[..., Any] | type) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _shown(path: Path) -> Path:
    """The path as a person would type it from here."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path

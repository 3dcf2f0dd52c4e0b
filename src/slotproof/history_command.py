"""`slotproof check-history`: the exact checker on a history of any tool, or on the record of a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slotproof.checks.exact import HistoryResult, Verdict, check_history, check_run_folder
from slotproof.exit_codes import ExitCode
from slotproof.record.exchange import read_history
from slotproof.run_folder import RunFolder

_CODES = {
    Verdict.PASS: ExitCode.GO,
    Verdict.VIOLATION: ExitCode.INTEGRITY_BROKEN,
    Verdict.NOT_DECIDED: ExitCode.INCONCLUSIVE,
}


@click.command("check-history", short_help="Decide a history that any tool wrote, or a run folder's record.")
@click.argument("history", type=click.Path(exists=True, path_type=Path), metavar="HISTORY.jsonl|RUN")
@click.option("--ledger", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="LEDGER.jsonl",
              help="What the system says at rest; without it nothing lost or invented can be found.")  # fmt: skip
@click.option("--clock-uncertainty-ns", type=click.IntRange(min=0), default=0, show_default=True,
              help="By how much stamps of several machines may be wrong.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of sentences.")
@click.pass_context
def check_history_command(
    context: click.Context, history: Path, ledger: Path | None, clock_uncertainty_ns: int, as_json: bool
) -> None:
    """Decide a history of any tool: was anything sold twice, lost or invented, and do the replies fit together?

    A run folder brings its own ledgers, and is read straight from its Arrow files.
    """
    result = _decide(history, ledger, clock_uncertainty_ns)
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        for line in result.lines():
            click.echo(line)
    context.exit(_CODES[result.verdict])


def _decide(history: Path, ledger: Path | None, clock_uncertainty_ns: int) -> HistoryResult:
    if not history.is_dir():
        return check_history(read_history(history, ledger), clock_uncertainty_ns=clock_uncertainty_ns)
    if ledger is not None:
        raise click.UsageError("a run folder has its own ledgers: leave out --ledger")
    folder = RunFolder(history.resolve())
    if not any(folder.record.glob("ops-*.arrow")):
        raise click.UsageError(f"{history} is not a run folder: it has no record/ops-*.arrow")
    return check_run_folder(folder, clock_uncertainty_ns=clock_uncertainty_ns)

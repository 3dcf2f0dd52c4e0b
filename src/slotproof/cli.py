"""The command line: which command lives where, and what becomes of errors.

Commands are imported when they are asked for: `check-history` decides ten million ops in seconds, and need not wait
for what runs and reports a whole system.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module

import click

from slotproof.cache import cache_dir
from slotproof.errors import SlotproofError
from slotproof.exit_codes import ExitCode

_COMMANDS: Mapping[str, str] = {
    "run": "slotproof.commands:run_command",
    "demo": "slotproof.commands:demo_command",
    "check": "slotproof.commands:check_command",
    "check-history": "slotproof.history_command:check_history_command",
    "report": "slotproof.commands:report_command",
    "list": "slotproof.commands:list_command",
    "doctor": "slotproof.commands:doctor_command",
}


class _Commands(click.Group):
    """Finds a command by its name in `_COMMANDS`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def main() -> None:
    """Entry point: run a command, and turn errors of the tree into three lines and their exit code."""
    try:
        # A user may have no home: matplotlib's font list then goes where everything else does that is made once.
        os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
        # Outside its standalone mode click returns the code that a command exits with.
        sys.exit(group.main(standalone_mode=False))
    except SlotproofError as error:
        _print_error(error.lines())
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitCode.INTERRUPTED)


@click.group(cls=_Commands, name="slotproof", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slotproof")
def group() -> None:
    """Proves or refutes, with evidence, that a booking system never sells a slot twice under load and faults."""


def _print_error(lines: list[str]) -> None:
    from rich.console import Console  # only what goes wrong needs it
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    first, *rest = lines
    console.print(Text.assemble(("slotproof: ", "bold red"), first))
    for line in rest:
        console.print(Text(f"  {line}"))


if __name__ == "__main__":
    main()

"""The exact checker: could any order of the ops, each at one instant of its interval, have led to what was seen?

`check_history` decides histories of the exchange format (CHECKER.md): slots, calendars of ranges of any length,
atomic moves, and pools of k people.
"""

from slotproof.checks.exact.check import check_columns, check_history, check_run_folder
from slotproof.checks.exact.result import HistoryFinding, HistoryResult, NotDecided, Verdict

__all__ = [
    "HistoryFinding",
    "HistoryResult",
    "NotDecided",
    "Verdict",
    "check_columns",
    "check_history",
    "check_run_folder",
]

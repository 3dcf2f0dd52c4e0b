"""A client for Toxiproxy's HTTP API that keeps deadlines and believes only what it reads back.

Built on FACTS-faults.md sections 4.1-4.5 and FACTS-stack.md section 3.

What is used of the PyPI package `toxiproxy-python`, and what is not: only its transport, `APIConsumer`, and of that a
subclass per client. `get`, `post` and `delete` there take the address from the *class* they are called on, so a
subclass keeps two clients apart, and they hand keyword arguments on to requests, so every call can carry a timeout. The
package's `Toxiproxy` and `Proxy` objects are not used: they call the one shared `APIConsumer`, without timeouts, and
take any 5xx for success. Statuses are therefore judged here. PATCH is missing in the package; Toxiproxy takes POST for
it (an alias since 2.6, the only way before).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

import requests
from pydantic import BaseModel, ConfigDict, Field, model_validator
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from slotproof.errors import ToxiproxyError

DEFAULT_TIMEOUT_S = 5.0
"""FACTS-faults.md section 4.5: a DELETE that has not answered after 5 s has met a wedged proxy."""

_T = TypeVar("_T")

_DAY_MS = 86_400_000
_Millis = Annotated[int, Field(strict=True, ge=0, le=_DAY_MS)]
_Micros = Annotated[int, Field(strict=True, ge=0, le=_DAY_MS * 1000)]
_Bytes = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class Stream(StrEnum):
    """`upstream` = towards the server (a lost request), `downstream` = towards the client (a lost reply)."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


class Toxic(BaseModel):
    """One toxic with its attributes; base of the seven kinds (FACTS-faults.md section 4.2).

    Toxiproxy answers 200 to a misspelt attribute and to values that make no sense, so both are refused here, with
    pydantic's ValidationError, before anything is sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str]
    wire_names: ClassVar[Mapping[str, str]]
    """Field here -> attribute in the API, which knows no units."""

    stream: Stream = Stream.DOWNSTREAM
    toxicity: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = 1.0
    """Share of links (connection x direction) that it applies to; re-drawn at every change, so 1.0 or 0.0."""
    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")] | None = None
    """Unique in its proxy across both streams; None = `<type>_<stream>`."""

    @property
    def full_name(self) -> str:
        return self.name or f"{self.type}_{self.stream}"

    def attributes(self) -> dict[str, int]:
        """Attributes under the API's names."""
        return {wire: getattr(self, field) for field, wire in self.wire_names.items()}


class Latency(Toxic):
    """Delays each chunk by latency ± jitter; not the TCP connect. Removal delivers everything held at once."""

    type = "latency"
    wire_names = {"latency_ms": "latency", "jitter_ms": "jitter"}

    latency_ms: _Millis
    jitter_ms: _Millis = 0


class Bandwidth(Toxic):
    """Limits the rate; 0 lets nothing through."""

    type = "bandwidth"
    wire_names = {"rate_kb_per_s": "rate"}

    rate_kb_per_s: _Bytes


class SlowClose(Toxic):
    """Delays the end of a connection only."""

    type = "slow_close"
    wire_names = {"delay_ms": "delay"}

    delay_ms: _Millis


class Timeout(Toxic):
    """Drops all data; closes after that long without any, 0 = never. Removal closes every link of its direction."""

    type = "timeout"
    wire_names = {"timeout_ms": "timeout"}

    timeout_ms: _Millis


class ResetPeer(Toxic):
    """Resets a connection that long after its first chunk; RST only on connections opened after the toxic."""

    type = "reset_peer"
    wire_names = {"timeout_ms": "timeout"}

    timeout_ms: _Millis


class Slicer(Toxic):
    """Cuts data into small pieces with a pause between. An average size of 0 kills the Toxiproxy server."""

    type = "slicer"
    wire_names = {"average_size_bytes": "average_size", "size_variation_bytes": "size_variation", "delay_us": "delay"}

    average_size_bytes: Annotated[_Bytes, Field(ge=1)]
    size_variation_bytes: _Bytes = 0
    delay_us: _Micros = 0

    @model_validator(mode="after")
    def _pieces_are_never_empty(self) -> Self:
        if self.size_variation_bytes >= self.average_size_bytes:
            raise ValueError("size_variation_bytes must be below average_size_bytes")
        return self


class LimitData(Toxic):
    """Closes each link after so many bytes; 0 = at the first chunk."""

    type = "limit_data"
    wire_names = {"limit_bytes": "bytes"}

    limit_bytes: _Bytes


@dataclass(frozen=True)
class ToxicState:
    """A toxic as the server describes it; `attributes` under the API's own names."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int]


@dataclass(frozen=True)
class ProxyState:
    """A proxy as the server describes it; `listen` and `upstream` are `host:port`."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ToxicState, ...]

    @property
    def healthy(self) -> bool:
        """Enabled and without any toxic."""
        return self.enabled and not self.toxics

    def toxic(self, name: str) -> ToxicState | None:
        return next((toxic for toxic in self.toxics if toxic.name == name), None)


class HealStep(StrEnum):
    """How far `heal` had to go (FACTS-faults.md section 4.5)."""

    NOTHING = "nothing"
    REMOVED = "removed"
    TOGGLED = "toggled"
    RESET = "reset"
    RESTARTED = "restarted"


class ToxiproxyClient:
    """One Toxiproxy server. Safe in several threads; a call ends within `timeout_s` (connecting and reading each).

    Every method raises ToxiproxyError when the server refuses, answers something else than was set, or does not
    answer in time.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._where = f"Toxiproxy at {host}:{port}"
        self._timeout_s = timeout_s
        self._http: Any = type("ClientConsumer", (APIConsumer,), {"host": host, "port": port})
        # An HTTP_PROXY in the environment must not see calls to the control port.
        self._direct = {"no_proxy": host}
        self._healing = threading.Lock()

    def version(self) -> str:
        """The version that the server calls itself; a build without link flags says "git"."""
        return self._read(lambda body: str(body["version"]), self._call("get", "/version", 200))

    def proxies(self) -> dict[str, ProxyState]:
        """All proxies by name."""
        everything = self._call("get", "/proxies", 200)
        return {name: self._read(_proxy_state, body) for name, body in everything.items()}

    def proxy(self, name: str) -> ProxyState:
        return self._read(_proxy_state, self._call("get", f"/proxies/{name}", 200))

    def create_proxy(self, name: str, upstream: str, listen: str = "127.0.0.1:0") -> ProxyState:
        """A new proxy; port 0 in `listen` lets the system choose, the reply has the real one.

        Toxiproxy listens at once, also when nothing answers at `upstream` yet.
        """
        body = {"name": name, "upstream": upstream, "listen": listen, "enabled": True}
        state = self._read(_proxy_state, self._call("post", "/proxies", 201, body))
        if state.upstream != upstream or not state.enabled:
            raise self._differs(f"proxy {name} was created with upstream {state.upstream}, enabled {state.enabled}")
        return state

    def set_enabled(self, name: str, enabled: bool) -> ProxyState:
        """Switch a proxy on or off; off refuses new connections and closes existing ones, toxics stay."""
        self._call("post", f"/proxies/{name}", 200, {"enabled": enabled})
        state = self.proxy(name)
        if state.enabled is not enabled:
            raise self._differs(f"proxy {name} reads back enabled={state.enabled} after it was set to {enabled}")
        return state

    def add_toxic(self, proxy: str, toxic: Toxic) -> ToxicState:
        """Add a toxic, read it back and compare type, stream, toxicity and every attribute."""
        body = {
            "name": toxic.full_name,
            "type": toxic.type,
            "stream": toxic.stream.value,
            "toxicity": toxic.toxicity,
            "attributes": toxic.attributes(),
        }
        self._call("post", f"/proxies/{proxy}/toxics", 200, body)
        state = self.proxy(proxy).toxic(toxic.full_name)
        if state is None:
            raise self._differs(f"toxic {toxic.full_name} on {proxy} was accepted and is not there")
        differences = _differences(toxic, state)
        if differences:
            raise self._differs(f"toxic {toxic.full_name} on {proxy} reads back otherwise: {'; '.join(differences)}")
        return state

    def remove_toxic(self, proxy: str, name: str) -> None:
        """Remove a toxic and read back that it is gone; also succeeds when there was none."""
        self._call("delete", f"/proxies/{proxy}/toxics/{name}", 204, absent_is_fine=True)
        if self.proxy(proxy).toxic(name) is not None:
            raise self._differs(f"toxic {name} on {proxy} is still there after its removal")

    def reset(self) -> None:
        """Enable every proxy and remove every toxic, and read back that it is so."""
        self._call("post", "/reset", 204)
        ill = [state.name for state in self.proxies().values() if not state.healthy]
        if ill:
            raise self._differs(f"after a reset {', '.join(sorted(ill))} still had toxics or stayed off")

    def heal(self, proxy: str, restart: Callable[[], None] | None = None) -> HealStep:
        """Make one proxy enabled and free of toxics, by ever stronger means; says how strong they had to be.

        Order: remove each toxic, off and on again, reset of the whole server, `restart` (kill the server, start it on
        the same address and create its proxies anew: the caller's part). Raises ToxiproxyError when all fail; the run
        is unsafe then.
        """
        steps: list[tuple[HealStep, Callable[[], object]]] = [
            (HealStep.REMOVED, lambda: self._remove_all(proxy)),
            (HealStep.TOGGLED, lambda: self._toggle(proxy)),
            (HealStep.RESET, self.reset),
        ]
        if restart is not None:
            steps.append((HealStep.RESTARTED, restart))
        failures: list[str] = []
        with self._healing:
            if self._is_healthy(proxy, failures):
                return HealStep.NOTHING
            for step, act in steps:
                try:
                    act()
                except ToxiproxyError as failure:
                    failures.append(f"{step}: {failure.what}")
                if self._is_healthy(proxy, failures):
                    return step
        raise ToxiproxyError(
            f"proxy {proxy} could not be healed ({'; '.join(failures)})",
            where=self._where,
            hint="the link is unsafe: restart the Toxiproxy server and create its proxies anew",
        )

    def _remove_all(self, proxy: str) -> None:
        state = self.proxy(proxy)
        for toxic in state.toxics:
            self.remove_toxic(proxy, toxic.name)
        if not state.enabled:
            self.set_enabled(proxy, True)

    def _toggle(self, proxy: str) -> None:
        self.set_enabled(proxy, False)
        self.set_enabled(proxy, True)
        self._remove_all(proxy)

    def _is_healthy(self, proxy: str, failures: list[str]) -> bool:
        try:
            return self.proxy(proxy).healthy
        except ToxiproxyError as failure:
            failures.append(f"reading back: {failure.what}")
            return False

    def _call(
        self, method: str, path: str, status: int, body: object = None, *, absent_is_fine: bool = False
    ) -> dict[str, Any]:
        """One request; its JSON body, {} when it has none. Any other status than `status` is an error."""
        options: dict[str, Any] = {"timeout": self._timeout_s, "proxies": self._direct}
        if body is not None:
            options["json"] = body
        what = f"{method.upper()} {path}"
        try:
            response = getattr(self._http, method)(path, **options)
        except NotFound as reply:
            if absent_is_fine:
                return {}
            raise self._refused(what, 404, _text(reply)) from reply
        except ProxyExists as reply:
            raise self._refused(what, 409, _text(reply)) from reply
        except InvalidToxic as reply:
            raise self._refused(what, 400, _text(reply)) from reply
        except requests.Timeout as late:
            raise ToxiproxyError(
                f"{what} was not answered within {self._timeout_s:g} s",
                where=self._where,
                hint="a wedged proxy blocks its own calls for ever; only a restart of the server frees it",
            ) from late
        except requests.RequestException as failure:
            raise ToxiproxyError(
                f"{what} failed: {failure}", where=self._where, hint="is the Toxiproxy server running at this address?"
            ) from failure
        if response.status_code != status:
            raise self._refused(what, response.status_code, response.text)
        return self._json(what, response) if response.content else {}

    def _json(self, what: str, response: requests.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except requests.JSONDecodeError as failure:
            raise self._refused(what, response.status_code, response.text) from failure
        if not isinstance(body, dict):
            raise self._refused(what, response.status_code, response.text)
        return body

    def _read(self, parse: Callable[[Any], _T], body: Any) -> _T:
        try:
            return parse(body)
        except (KeyError, TypeError, ValueError, AttributeError) as failure:
            raise ToxiproxyError(
                f"an answer of an unknown shape: {str(body)[:200]}",
                where=self._where,
                hint="is this address really Toxiproxy's control port?",
            ) from failure

    def _refused(self, what: str, status: int, text: str) -> ToxiproxyError:
        hints = {
            404: "no proxy or toxic of that name; has the server been restarted?",
            409: "a proxy or toxic of that name exists already (toxic names are unique across both streams)",
            500: "is the listen port taken by another process?",
            503: "the proxy is wedged; only a restart of the server frees it",
        }
        hint = hints.get(status, "is this address really Toxiproxy's control port?")
        return ToxiproxyError(f"{what} was answered {status}: {text.strip()[:200]}", where=self._where, hint=hint)

    def _differs(self, what: str) -> ToxiproxyError:
        return ToxiproxyError(what, where=self._where, hint="is somebody else changing the same Toxiproxy server?")


def _text(reply: Exception) -> str:
    content = reply.args[0] if reply.args else b""
    return content.decode(errors="replace") if isinstance(content, bytes) else str(content)


def _toxic_state(body: Mapping[str, Any]) -> ToxicState:
    return ToxicState(body["name"], body["type"], body["stream"], float(body["toxicity"]), dict(body["attributes"]))


def _proxy_state(body: Mapping[str, Any]) -> ProxyState:
    toxics = tuple(_toxic_state(toxic) for toxic in body.get("toxics") or ())
    return ProxyState(body["name"], body["listen"], body["upstream"], bool(body["enabled"]), toxics)


def _differences(wanted: Toxic, got: ToxicState) -> list[str]:
    differences = []
    if got.type != wanted.type:
        differences.append(f"type {got.type} instead of {wanted.type}")
    if got.stream != wanted.stream.value:
        differences.append(f"stream {got.stream} instead of {wanted.stream}")
    # Toxiproxy keeps toxicity as float32.
    if not math.isclose(got.toxicity, wanted.toxicity, abs_tol=1e-6):
        differences.append(f"toxicity {got.toxicity} instead of {wanted.toxicity}")
    attributes = wanted.attributes()
    for name in sorted(attributes.keys() | got.attributes.keys()):
        if got.attributes.get(name) != attributes.get(name):
            differences.append(f"{name} {got.attributes.get(name)} instead of {attributes.get(name)}")
    return differences

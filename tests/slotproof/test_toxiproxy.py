"""The Toxiproxy client against the real server, and against servers that misbehave."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slotproof.errors import ToxiproxyError
from slotproof.stack.guardian import Guardian
from slotproof.stack.processes import end_children, spawn
from slotproof.stack.toxiproxy_server import ToxiproxyServer, obtain_server
from slotproof.toxiproxy import (
    Bandwidth,
    HealStep,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Stream,
    Timeout,
    Toxic,
    ToxiproxyClient,
)

ALL_TOXICS: list[Toxic] = [
    Latency(latency_ms=120, jitter_ms=30),
    Latency(latency_ms=0, stream=Stream.UPSTREAM),
    Bandwidth(rate_kb_per_s=64),
    SlowClose(delay_ms=50),
    Timeout(timeout_ms=0, stream=Stream.UPSTREAM),
    ResetPeer(timeout_ms=10),
    Slicer(average_size_bytes=64, size_variation_bytes=16, delay_us=100),
    LimitData(limit_bytes=1000, toxicity=0.3, name="cut"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToxiproxyServer]:
    folder = tmp_path_factory.mktemp("toxiproxy")
    with Guardian(folder / "guardian.log") as guardian:
        binary = obtain_server(guardian, lambda text: None)
        server = ToxiproxyServer(partial(spawn, guardian=guardian), binary, folder / "toxiproxy.log")
        server.await_ready(time.monotonic() + 20)
        yield server
        end_children([server.child], guardian, grace_s=1)


@pytest.fixture
def client(server: ToxiproxyServer) -> ToxiproxyClient:
    return server.client()


@pytest.fixture
def proxy(client: ToxiproxyClient, request: pytest.FixtureRequest) -> str:
    """A fresh proxy to a port where nothing listens."""
    name = str(request.node.name).replace("[", "-").replace("]", "")
    client.create_proxy(name, "127.0.0.1:1")
    return name


def test_a_created_proxy_tells_its_real_address_and_listens(client: ToxiproxyClient) -> None:
    state = client.create_proxy("real", "127.0.0.1:1")
    host, _, port = state.listen.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    socket.create_connection((host, int(port)), 2).close()
    assert client.proxies()["real"] == state == client.proxy("real")
    assert state.healthy


def test_the_version_is_told(client: ToxiproxyClient) -> None:
    assert client.version()


def test_a_proxy_that_exists_or_is_unknown_is_refused(client: ToxiproxyClient, proxy: str) -> None:
    with pytest.raises(ToxiproxyError, match="409") as twice:
        client.create_proxy(proxy, "127.0.0.1:1")
    assert twice.value.hint
    with pytest.raises(ToxiproxyError, match="404"):
        client.proxy("nobody")


def test_a_busy_listen_port_is_an_error(client: ToxiproxyClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ToxiproxyError, match="500"):
            client.create_proxy("busy", "127.0.0.1:1", f"127.0.0.1:{port}")


def test_a_disabled_proxy_refuses_and_an_enabled_one_accepts(client: ToxiproxyClient, proxy: str) -> None:
    port = int(client.proxy(proxy).listen.rpartition(":")[2])
    assert not client.set_enabled(proxy, False).enabled
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)
    assert client.set_enabled(proxy, True).enabled
    socket.create_connection(("127.0.0.1", port), 2).close()


@pytest.mark.parametrize("toxic", ALL_TOXICS, ids=lambda toxic: toxic.full_name)
def test_every_toxic_reads_back_as_set_and_goes(client: ToxiproxyClient, proxy: str, toxic: Toxic) -> None:
    state = client.add_toxic(proxy, toxic)
    assert state.attributes == toxic.attributes()
    assert client.proxy(proxy).toxics == (state,)
    client.remove_toxic(proxy, toxic.full_name)
    assert client.proxy(proxy).toxics == ()


def test_removing_a_toxic_twice_is_fine_but_not_from_an_unknown_proxy(client: ToxiproxyClient, proxy: str) -> None:
    client.remove_toxic(proxy, "latency_downstream")
    with pytest.raises(ToxiproxyError, match="404"):
        client.remove_toxic("nobody", "latency_downstream")


def test_a_toxic_name_is_unique_in_its_proxy(client: ToxiproxyClient, proxy: str) -> None:
    client.add_toxic(proxy, Latency(latency_ms=1, name="same"))
    with pytest.raises(ToxiproxyError, match="409"):
        client.add_toxic(proxy, Timeout(timeout_ms=1, stream=Stream.UPSTREAM, name="same"))


def test_latency_delays_the_reply(client: ToxiproxyClient) -> None:
    with _echo_server() as port:
        listen = int(client.create_proxy("echo", f"127.0.0.1:{port}").listen.rpartition(":")[2])
        client.add_toxic("echo", Latency(latency_ms=200))
        assert _round_trip_s(listen) >= 0.2
        client.remove_toxic("echo", "latency_downstream")
        assert _round_trip_s(listen) < 0.2


def test_reset_enables_and_cleans_all(client: ToxiproxyClient, proxy: str) -> None:
    client.add_toxic(proxy, Latency(latency_ms=5))
    client.set_enabled(proxy, False)
    client.reset()
    assert client.proxy(proxy).healthy


def test_heal_goes_no_further_than_needed(client: ToxiproxyClient, proxy: str) -> None:
    assert client.heal(proxy) is HealStep.NOTHING
    client.add_toxic(proxy, Latency(latency_ms=5))
    client.add_toxic(proxy, Timeout(timeout_ms=5, stream=Stream.UPSTREAM))
    client.set_enabled(proxy, False)
    assert client.heal(proxy) is HealStep.REMOVED
    assert client.proxy(proxy).healthy


def test_two_clients_keep_to_their_own_servers(client: ToxiproxyClient, proxy: str) -> None:
    with _http_server(lambda handler: _reply(handler, 200, b'{"version": "other"}')) as port:
        other = ToxiproxyClient("127.0.0.1", port)
        assert other.version() == "other"
        assert client.version() != "other"
        assert proxy in client.proxies()
        assert other.version() == "other"


def test_a_proxy_from_the_environment_is_not_used(
    client: ToxiproxyClient, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert client.proxy(proxy).name == proxy


def test_a_server_that_does_not_answer_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = ToxiproxyClient("127.0.0.1", silent.getsockname()[1], timeout_s=0.2)
        began = time.monotonic()
        with pytest.raises(ToxiproxyError, match="not answered within"):
            mute.reset()
        assert time.monotonic() - began < 5


def test_a_dead_server_is_an_error() -> None:
    with pytest.raises(ToxiproxyError, match="failed") as gone:
        ToxiproxyClient("127.0.0.1", 1).version()
    assert gone.value.where == "Toxiproxy at 127.0.0.1:1"


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b"<html>timeout</html>"), (200, b"<html>"), (200, b"[]"), (200, b'{"name": "x"}'), (500, b"{}")],
)
def test_a_strange_answer_is_an_error(status: int, body: bytes) -> None:
    with (
        _http_server(lambda handler: _reply(handler, status, body)) as port,
        pytest.raises(ToxiproxyError),
    ):
        ToxiproxyClient("127.0.0.1", port).proxy("x")


def test_heal_escalates_to_a_restart_and_tells_when_nothing_helps() -> None:
    ill = b'{"name": "x", "listen": "127.0.0.1:2", "upstream": "127.0.0.1:3", "enabled": false, "toxics": []}'
    well = ill.replace(b"false", b"true")
    answers = {"now": ill}

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        healthy_read = handler.command == "GET"
        _reply(handler, 200 if healthy_read else 503, answers["now"] if healthy_read else b"<html>wedged</html>")

    with _http_server(answer) as port:
        client = ToxiproxyClient("127.0.0.1", port)
        with pytest.raises(ToxiproxyError, match="could not be healed") as unsafe:
            client.heal("x")
        assert all(step in unsafe.value.what for step in ("removed", "toggled", "reset"))
        assert client.heal("x", restart=lambda: answers.update(now=well)) is HealStep.RESTARTED


def test_an_attribute_that_reads_back_otherwise_is_an_error() -> None:
    stored = (
        b'{"name": "x", "listen": "a:1", "upstream": "b:2", "enabled": true, "toxics": [{"name": "latency_downstream",'
        b' "type": "latency", "stream": "downstream", "toxicity": 1, "attributes": {"latency": 0, "jitter": 0}}]}'
    )
    with (
        _http_server(lambda handler: _reply(handler, 200, stored)) as port,
        pytest.raises(ToxiproxyError, match="latency 0 instead of 300"),
    ):
        ToxiproxyClient("127.0.0.1", port).add_toxic("x", Latency(latency_ms=300))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Latency(latency_ms=-5),
        lambda: Latency.model_validate({"latency": 300}),
        lambda: Latency.model_validate({"latency_ms": 300, "jiter_ms": 3}),
        lambda: Latency.model_validate({"latency_ms": "300"}),
        lambda: Latency.model_validate({"latency_ms": 1.5}),
        lambda: Latency(latency_ms=1, toxicity=7),
        lambda: Latency(latency_ms=1, toxicity=float("nan")),
        lambda: Latency.model_validate({"latency_ms": 1, "stream": "sideways"}),
        lambda: Latency(latency_ms=1, name="a/b"),
        lambda: Slicer(average_size_bytes=0),
        lambda: Slicer(average_size_bytes=10, size_variation_bytes=10),
        lambda: Timeout(timeout_ms=86_400_001),
    ],
)
def test_nonsense_is_refused_before_it_is_sent(make: Callable[[], Toxic]) -> None:
    with pytest.raises(ValidationError):
        make()


@given(average=st.integers(1, 10_000), variation=st.integers(0, 20_000))
def test_a_slicer_never_makes_empty_pieces(average: int, variation: int) -> None:
    if variation < average:
        assert Slicer(average_size_bytes=average, size_variation_bytes=variation).attributes() == {
            "average_size": average,
            "size_variation": variation,
            "delay": 0,
        }
    else:
        with pytest.raises(ValidationError):
            Slicer(average_size_bytes=average, size_variation_bytes=variation)


def _round_trip_s(port: int) -> float:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        began = time.monotonic()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        return time.monotonic() - began


@contextlib.contextmanager
def _echo_server() -> Iterator[int]:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(connection.recv(1))
                    connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@contextlib.contextmanager
def _http_server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_DELETE = do_GET  # noqa: N815 - the base class looks for this name

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to standard error."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(5)


def _reply(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)

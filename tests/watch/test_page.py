"""The live page: who is let in, and what a browser shows of a watch."""

import http.client
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from prolepsis.errors import ProlepsisError
from prolepsis.watch.hub import Hub
from prolepsis.watch.page import served

from .conftest import RATE

GREETING = {
    "source": "film.mp4",
    "detector": "rnn",
    "rate": RATE,
    "classes": ["background", "wave"],
    "hues": [0, 25],
    "threshold": 0.5,
    "looks_ahead": False,
}


@pytest.fixture
def hub() -> Hub:
    return Hub(GREETING)


def get(address: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    query = f"?{parts.query}" if parts.query else ""
    connection.request("GET", parts.path + query, headers={"Host": parts.netloc, **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


@contextmanager
def looking_on(address: str, **options: Any) -> Iterator[Any]:
    parts = urlsplit(address)
    query = f"?{parts.query}" if parts.query else ""
    with connect(f"ws://127.0.0.1:{parts.port}/live{query}", open_timeout=30, **options) as opened:
        yield opened


def test_the_page_is_whole_and_asks_nobody_else(hub: Hub) -> None:
    with served(hub, "127.0.0.1", 0) as address:
        status, page, headers = get(address)
    assert status == 200
    assert "//" not in page.replace("ws://", "").replace("</script>", "")
    assert "src=" not in page and "href=" not in page
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert page.count(f'nonce="{nonce}"') == 2
    assert headers["referrer-policy"] == "no-referrer"


def test_a_client_is_greeted_and_told(hub: Hub) -> None:
    with served(hub, "127.0.0.1", 0) as address, looking_on(address, origin=address.rstrip("/")) as opened:
        assert json.loads(opened.recv(30))["source"] == "film.mp4"
        hub.tell({"event": "alert", "class": "wave"})
        assert json.loads(opened.recv(30)) == {"type": "event", "event": "alert", "class": "wave"}
        hub.show_picture(b"a picture")
        assert opened.recv(30) == b"a picture"


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "evil.example", "127.0.0.1.evil.example:{port}", "[::"]
)
def test_another_name_for_this_machine_is_refused(hub: Hub, host: str) -> None:
    with served(hub, "127.0.0.1", 0) as address:
        called = host.format(port=urlsplit(address).port)
        status, text, _ = get(address, Host=called)
        assert status in (400, 403)
        assert "{{" not in text and "<html" not in text


def test_a_page_from_elsewhere_may_not_look_on(hub: Hub) -> None:
    with served(hub, "127.0.0.1", 0) as address:
        assert get(address, Origin="http://evil.example")[0] == 403
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null", None):
            with looking_on(address, origin=origin) as opened, pytest.raises(ConnectionClosed) as closed:
                opened.recv(30)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4403


def test_beyond_this_machine_a_token_is_needed(hub: Hub) -> None:
    with served(hub, "0.0.0.0", 0) as address:
        parts = urlsplit(address)
        token = parts.query.removeprefix("token=")
        assert len(token) >= 32
        at = f"http://127.0.0.1:{parts.port}/"
        assert get(f"{at}?token={token}")[0] == 200
        for wrong in ("", "?token=", f"?token={token[:-1]}", f"?token={token}x", "?token=ä"):
            assert get(at + wrong.replace("ä", "%C3%A4"))[0] == 403
        assert get(f"{at}?token={token}", Host=f"evil.example:{parts.port}")[0] == 403
        assert get(f"{at}?token={token}", Host=f"192.0.2.7:{parts.port}")[0] == 200
        with looking_on(f"{at}?token={token}") as opened:
            assert json.loads(opened.recv(30))["type"] == "hello"
        with looking_on(at) as opened, pytest.raises(ConnectionClosed):
            opened.recv(30)


def test_a_client_that_never_reads_holds_nobody_up_and_no_end(hub: Hub) -> None:
    with served(hub, "127.0.0.1", 0) as address:
        place = urlsplit(address).netloc
        with socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=30) as deaf:
            deaf.sendall(
                f"GET /live HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            assert deaf.recv(12) == b"HTTP/1.1 101"  # and nothing more is taken
            with looking_on(address, origin=address.rstrip("/")) as opened:
                assert json.loads(opened.recv(30))["type"] == "hello"
                for number in range(40):  # more than sockets hold
                    hub.show_picture(bytes([number]) * 2**20)
                    assert opened.recv(30)[:1] == bytes([number])
                hub.tell({"event": "alert"})
                assert json.loads(opened.recv(30))["event"] == "alert"
            assert hub.num_clients >= 1  # it is still there


def test_there_is_room_for_so_many(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prolepsis.watch.page._MOST_CLIENTS", 1)
    with served(hub, "127.0.0.1", 0) as address:
        origin = address.rstrip("/")
        with looking_on(address, origin=origin) as first, looking_on(address, origin=origin) as second:
            assert json.loads(first.recv(30))["type"] == "hello"
            with pytest.raises(ConnectionClosed) as closed:
                second.recv(30)
    assert closed.value.rcvd is not None and closed.value.rcvd.reason == "Too many look on."


def test_each_watch_has_another_token(hub: Hub) -> None:
    with served(hub, "0.0.0.0", 0) as first, served(hub, "0.0.0.0", 0) as second:
        assert urlsplit(first).query != urlsplit(second).query


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "websockets"])
def test_what_is_not_installed_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing or "sansio" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ProlepsisError, match=r"prolepsis\[page\]|needs FastAPI"), served(hub, "127.0.0.1", 0):
        pass


def test_a_port_that_is_taken_is_told(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProlepsisError, match=f"port {port}"), served(hub, "127.0.0.1", port):
            pass
    with pytest.raises(ProlepsisError, match="nowhere.invalid"), served(hub, "nowhere.invalid", 0):
        pass

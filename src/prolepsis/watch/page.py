"""The live page: one HTML file and a WebSocket, on the loopback interface unless another is asked for.

A page of some other site that is open in the same browser must not look on. So the name by which the server
is called must be its own (a foreign name that leads here is DNS rebinding), and so must the page that opens
the WebSocket. Beyond the loopback interface a token is asked for, too.
"""

import asyncio
import hmac
import ipaddress
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prolepsis.errors import ProlepsisError
from prolepsis.watch.hub import Hub, Mailbox, Pictures, waker

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI, WebSocket
    from starlette.requests import HTTPConnection

_MOST_CLIENTS = 32
_REFUSED = 4403  # of the codes that a WebSocket leaves to applications
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Door:
    """Who is let in.

    Attributes:
        host: what the server listens on: an address of this machine, or a name of it.
        token: what is asked for; None on the loopback interface.
    """

    host: str
    token: str | None

    @classmethod
    def of(cls, host: str) -> "Door":
        """With a new token, unless nobody but this machine can come."""
        return cls(host, None if _is_loopback(host) else secrets.token_urlsafe(24))

    def objection(self, connection: "HTTPConnection") -> str | None:
        """Why a request is refused; None where it is not."""
        called = connection.headers.get("host", "")
        if not self._is_own_name(called):
            return "This server is not called that."
        origin = connection.headers.get("origin")
        if origin is not None and origin.lower() != f"http://{called}".lower():
            return "Another page may not look on."
        given = connection.query_params.get("token", "")
        if self.token is not None and not hmac.compare_digest(given.encode(), self.token.encode()):
            return "The address lacks the token that 'kedro watch' printed."
        return None

    def _is_own_name(self, called: str) -> bool:
        try:
            name = urlsplit(f"//{called}").hostname or ""
        except ValueError:
            return False
        if _is_loopback(name):
            return True
        if self.token is None:
            return False
        # Whoever rebinds a name needs a name: a plain address is always this machine's.
        return _is_address(name) or name in {self.host.lower(), socket.gethostname().lower()}


def create_app(hub: Hub, door: Door) -> "FastAPI":
    """The page at `/` and its WebSocket at `/live`."""
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import HTMLResponse, PlainTextResponse, Response

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    content = files("prolepsis.watch").joinpath("page.html").read_text(encoding="utf-8")

    async def page(request: Request) -> Response:
        if (objection := door.objection(request)) is not None:
            return PlainTextResponse(objection, status_code=403, headers=_HEADERS)
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src blob:; "
            f"connect-src 'self' ws://{request.headers['host']}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return HTMLResponse(
            content.replace("{{ nonce }}", nonce), headers=_HEADERS | {"Content-Security-Policy": policy}
        )

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        objection = door.objection(websocket)
        if objection is None and websocket.headers.get("origin") is None and door.token is None:
            objection = "A page that looks on says where it is from."
        if objection is not None or hub.num_clients >= _MOST_CLIENTS:
            await websocket.close(_REFUSED, objection or "Too many look on.")
            return
        await _serve(websocket, hub)

    app.add_api_route("/", page, methods=["GET"])
    app.add_api_websocket_route("/live", live)
    return app


async def _serve(websocket: "WebSocket", hub: Hub) -> None:
    """Sends what waits for a client until it goes."""
    came = asyncio.Event()
    with hub.client(waker(came, asyncio.get_running_loop())) as mailbox:
        sending = asyncio.create_task(_send(websocket, mailbox, came))
        try:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, Exception):  # a client that went is no error
                await sending


async def _send(websocket: "WebSocket", mailbox: Mailbox, came: asyncio.Event) -> None:
    while True:
        await came.wait()
        came.clear()
        messages, picture = mailbox.take()
        for message in messages:
            await websocket.send_text(message)
        if picture is not None:
            await websocket.send_bytes(picture)


@dataclass(frozen=True)
class LivePage:
    """A page that is served.

    Attributes:
        address: to open in a browser.
        hub: takes what is believed and told.
        pictures: takes frames.
    """

    address: str
    hub: Hub
    pictures: Pictures


@contextmanager
def live_page(greeting: Mapping[str, Any], host: str, port: int) -> Iterator[LivePage]:
    """The page for the length of the block; the arguments are those of `Hub` and `served`."""
    hub = Hub(greeting)
    pictures = Pictures(hub)
    with served(hub, host, port) as address, pictures.running():
        yield LivePage(address, hub, pictures)


@contextmanager
def served(hub: Hub, host: str, port: int) -> Iterator[str]:
    """Serves the page in a thread for the length of the block; yields the address to open.

    Args:
        host: the address to listen on; beyond the loopback interface the page's address has a token in it.
        port: 0 for any that is free.

    Raises:
        ProlepsisError: the port is taken, the host is none of this machine's, or FastAPI, uvicorn or
            websockets is not installed.
    """
    door = Door.of(host)
    try:
        server = _server(create_app(hub, door))
    except ImportError as error:
        raise ProlepsisError(
            f"The live page needs FastAPI, uvicorn and websockets: {error}.",
            where="--page",
            remedy="Install them: pip install 'prolepsis[page]'",
        ) from error
    listening = _listen(host, port)
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    thread.start()
    try:
        yield _address(host, listening.getsockname()[1], door.token)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def _server(app: "FastAPI") -> "uvicorn.Server":
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # it would hold the token
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
        ws_max_size=1024,  # clients have nothing to say
    )
    config.load()  # in the server's own thread nobody would see it fail
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ProlepsisError(
            f"The page cannot be served at {host}, port {port}: {error}",
            where="--host, --port",
            remedy="Choose another port, or 0 for any that is free; the host is an address of this machine.",
        ) from error


def _address(host: str, port: int, token: str | None) -> str:
    reached = socket.gethostname() if _is_unspecified(host) else host
    place = f"[{reached}]" if ":" in reached else reached
    return f"http://{place}:{port}/" + (f"?token={token}" if token else "")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

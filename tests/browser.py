"""Headless Chromium, driven over its DevTools socket: a page as a person would see it while it changes."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

_MOST_BYTES = 64 << 20
_PATIENCE_S = 90.0

_UNTIL = """new Promise((resolve, reject) => {
  const end = performance.now() + 60000;
  const look = () => {
    if (%s) resolve(true);
    else if (performance.now() > end) reject(new Error(document.body.innerText));
    else setTimeout(look, 50);
  };
  look();
})"""


class Tab:
    """One open page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._loaded = True

    def open(self, url: str) -> None:
        """Opens a page, and returns when it has loaded."""
        self._call("Page.enable")
        self._loaded = False
        self._call("Page.navigate", url=url)
        while not self._loaded:
            self._receive()

    def show_as(self, width: int, height: int, scheme: str, *, mobile: bool = False) -> None:
        """In a window of that size, in the colour scheme `light` or `dark`."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def evaluate(self, expression: str) -> Any:
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Until an expression is true; the page itself looks again and again."""
        self.evaluate(_UNTIL % condition)

    def screenshot(self, path: Path) -> None:
        picture = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(_PATIENCE_S))
        self._loaded |= message.get("method") == "Page.loadEventFired"
        return message

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


@contextmanager
def opened_browser(chromium: str, profile: Path) -> Iterator[Tab]:
    """A browser with a profile of its own."""
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "DevTools listening on" in line)
            port = line.split("ws://127.0.0.1:")[1].split("/")[0]
            with urlopen(f"http://127.0.0.1:{port}/json") as answer:
                targets = json.load(answer)
            address = next(one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page")
            with connect(address, max_size=_MOST_BYTES) as socket:
                yield Tab(socket)
        finally:
            process.terminate()

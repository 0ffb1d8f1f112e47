"""A headless Chromium for tests, driven over chromedriver's plain HTTP; standard library only."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = f"needs {' and '.join(n for n, p in (('chromium', BROWSER), ('chromedriver', DRIVER)) if not p)} on PATH"
AVAILABLE = bool(BROWSER and DRIVER)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --force-device-scale-factor=1"
).split()
KEYS = {"right": "\ue014", "left": "\ue012", "down": "\ue015", "up": "\ue013", "enter": "\ue007", "end": "\ue010"}


@dataclass(frozen=True)
class Browser:
    """One session; ``url`` is chromedriver's address of it."""

    url: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A WebDriver command; its value, or RuntimeError with the browser's message."""
        return _request(method, self.url + path, body)

    def open(self, address: str) -> None:
        """Load a page and wait for its load event."""
        self.call("POST", "/url", {"url": address})

    def run(self, script: str, *args: Any) -> Any:
        """The value that a function body returns in the page."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def later(self, script: str, *args: Any) -> Any:
        """The value that a function body hands to its last argument, a callback."""
        return self.call("POST", "/execute/async", {"script": script, "args": list(args)})

    def cdp(self, command: str, **params: Any) -> Any:
        """A DevTools command."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def press(self, *keys: str) -> None:
        """Keys pressed and released one after the other, to whatever has the focus."""
        codes = [KEYS.get(key, key) for key in keys]
        actions = [{"type": kind, "value": code} for code in codes for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a place in the window."""
        move = {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0}
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [move]}]})

    def widths_on_a_phone(self, address: str) -> list[int]:
        """Width of the page and of the window, on a screen of 390 points."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        try:
            self.open("about:blank")
            self.open(address)
            return self.run("return [document.documentElement.scrollWidth, innerWidth]")
        finally:
            self.cdp("Emulation.clearDeviceMetricsOverride")

    def log(self) -> list[str]:
        """Console messages of level SEVERE since the last call: errors and refused loads."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Addresses that the page asked for since the last call."""
        entries = self.call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:"))]


@contextlib.contextmanager
def browser(folder: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A new browser with an empty profile in ``folder``; closed, with its driver, at the end."""
    port = _free_port()
    driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        root = f"http://127.0.0.1:{port}"
        _wait(root)
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        options = {"binary": BROWSER, "args": flags + (["--force-dark-mode"] if dark else [])}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        wanted |= {"timeouts": {"script": 60_000}}
        session = _request("POST", f"{root}/session", {"capabilities": {"alwaysMatch": wanted}})
        found = Browser(f"{root}/session/{session['sessionId']}")
        try:
            yield found
        finally:
            found.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()


def _request(method: str, url: str, body: dict[str, Any] | None) -> Any:
    data = None if method != "POST" else json.dumps(body or {}).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None


def _wait(root: str) -> None:
    for _ in range(200):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if _request("GET", f"{root}/status", None)["ready"]:
                return
        time.sleep(0.05)
    raise RuntimeError("chromedriver did not become ready in 10 s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

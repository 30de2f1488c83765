"""Debian's Firefox as it is, driven by WebDriver BiDi; Playwright needs a Firefox of its own.

Source: W3C, "WebDriver BiDi", the methods that are named here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("firefox-esr", "firefox")
ENTER, ESCAPE = "\ue007", "\ue00c"
# Nothing of it is asked of the network: the page under test is all there is.
PREFS = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.auto", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
"""


def installed() -> str | None:
    """The path of a Firefox, where there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def started(path: str, profile: Path, patience_s: float) -> Iterator[FirefoxPage]:
    """A Firefox without a window, and its page; it has ended afterwards."""
    (profile / "user.js").write_text(PREFS)
    command = [path, "--headless", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(
        [*command, "--remote-debugging-port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = (
            re.search(r"WebDriver BiDi listening on (ws://\S+)", line) for line in process.stdout
        )
        address = next((match[1] for match in said if match), None)
        assert address, "Firefox ended before it listened"
        threading.Thread(target=process.stdout.read, daemon=True).start()  # what else it says
        with connect(f"{address}/session", max_size=None, open_timeout=patience_s) as socket:
            yield FirefoxPage(socket, patience_s)
    finally:
        process.kill()
        process.communicate()


class FirefoxPage:
    """The page that a Firefox shows, and what a person does with it.

    Args:
        socket: Of the browser.
        patience_s: Ends a hang.
    """

    def __init__(self, socket: ClientConnection, patience_s: float) -> None:
        self.troubles: list[str] = []
        self._socket, self._patience_s, self._numbers = socket, patience_s, count(1)
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["log.entryAdded"])
        self._context = self._ask("browsingContext.getTree")["contexts"][0]["context"]
        self._ask(
            "browsingContext.setViewport", context=self._context,
            viewport={"width": 1280, "height": 900},
        )  # fmt: skip

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=self._patience_s))
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                if entry["level"] in ("error", "warn"):
                    self.troubles.append(f"{entry['level']}: {entry['text']}")
            if message.get("id") == number:
                assert message["type"] == "success", (method, message)
                return message["result"]

    def watch(self, script: str) -> None:
        """Runs a script in every page before its own."""
        self._ask("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    def open(self, address: str) -> None:
        self._ask("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def run(self, function: str, *values: Any) -> Any:
        """What a function in JavaScript gives for some values, both as in JSON."""
        given = json.dumps(values)
        body = f"async () => JSON.stringify((await ({function})(...{given})) ?? null)"
        answer = self._ask(
            "script.callFunction", functionDeclaration=body, awaitPromise=True,
            target={"context": self._context},
        )  # fmt: skip
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def until(self, predicate: str, *values: Any) -> None:
        """Waits until a function is true of some values."""
        holds = self.run(
            f"""async (...values) => {{
              const end = performance.now() + {self._patience_s * 900};
              while (!({predicate})(...values)) {{
                if (performance.now() > end) return false;
                await new Promise((done) => setTimeout(done, 20));
              }}
              return true;
            }}""",
            *values,
        )
        assert holds, (predicate, values, self.run("() => document.body.innerText"))

    def see(self, selector: str) -> None:
        """Waits until an element is shown."""
        self.until("(name) => document.querySelector(name)?.checkVisibility()", selector)

    def gone(self, selector: str) -> None:
        """Waits until there is no such element."""
        self.until("(name) => !document.querySelector(name)", selector)

    def text(self, selector: str, wanted: str) -> None:
        """Waits until an element says something."""
        holds = "(name, text) => document.querySelector(name)?.textContent.includes(text)"
        self.until(holds, selector, wanted)

    def edges(self, selector: str) -> dict[str, float]:
        self.see(selector)
        edges: dict[str, float] = self.run(
            """(name) => {
              const found = document.querySelector(name);
              found.scrollIntoView({ block: "nearest" });
              return found.getBoundingClientRect().toJSON();
            }""",
            selector,
        )
        return edges

    def press(self, keys: str) -> None:
        """Types where the keyboard is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keyboard", "actions": strokes})

    def click(self, selector: str) -> None:
        self.drag(selector, ((0.5, 0.5),))

    def drag(self, selector: str, places: Sequence[tuple[float, float]]) -> None:
        """Presses at the first of some relative places of an element, and lets go at the last."""
        edges = self.edges(selector)
        moves = [
            {
                "type": "pointerMove",
                "x": round(edges["x"] + x * edges["width"]),
                "y": round(edges["y"] + y * edges["height"]),
            }
            for x, y in places
        ]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        steps = [moves[0], down, *moves[1:], up]
        self._act({"type": "pointer", "id": "mouse", "actions": steps})

    def _act(self, source: dict[str, Any]) -> None:
        self._ask("input.performActions", context=self._context, actions=[source])

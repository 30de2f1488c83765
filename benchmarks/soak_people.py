"""What people do to a server in the soak: one method a kind of request.

Each returns its status; what the server must not answer (5xx save 503) and lines that break
are counted by the caller. Uploads are bounded, so that the library does not grow for ever.
"""

import io
import json
import random
import socket
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from PIL import Image

WORDS = (
    "red", "dog", "cat", "beach", "snow", "night", "city", "street", "flower", "tree", "car",
    "boat", "child", "old", "house", "blue", "sky", "coffee", "book", "horse", "mountain", "river",
    "bridge", "portrait", "crowd", "food", "bird", "texture",
)  # fmt: skip
HOSTILE = (b"<svg onload=alert(1)/>", b"\xff\xd8\xff" + b"\0" * 500, b"GIF89a\xff\xff\xff\xff")
MAX_UPLOADS = 200


class Person:
    """One client with a connection of its own.

    Args:
        address: Of the server.
        library: Path of the library's routes.
        seed: Of what it does.
        may_upload: Takes one of the uploads that are left; false when there is none.
    """

    def __init__(
        self, address: str, library: str, seed: int, may_upload: Callable[[], bool]
    ) -> None:
        self.http = httpx.Client(base_url=address, timeout=60, trust_env=False)
        self._base, self._may_upload = library, may_upload
        self._random = random.Random(seed)
        self._pixels = np.random.default_rng(seed)
        host, port = address.removeprefix("http://").split(":")
        self._place = (host, int(port))

    def acts(self) -> list[tuple[str, Callable[[], int]]]:
        """Every kind of request, as often as it is drawn."""
        often: dict[str, tuple[int, Callable[[], int]]] = {
            "search": (40, self.search), "thumbnail": (20, self.thumbnail),
            "picture": (8, self.picture), "session": (8, self.session),
            "cancelled": (6, self.cancelled), "info": (5, self.info), "file": (5, self.file),
            "upload": (3, self.upload), "hostile": (3, self.hostile), "index": (2, self.index),
        }  # fmt: skip
        return [(name, act) for name, (n, act) in often.items() for _ in range(n)]

    def search(self) -> int:
        """Words that may or may not have come before."""
        return self._post("/search", {"query": self._words(), "limit": 20}).status_code

    def thumbnail(self) -> int:
        """A small picture."""
        return self._get(f"/images/{self._random.randint(1, 40)}/thumbnail").status_code

    def file(self) -> int:
        """An original."""
        return self._get(f"/images/{self._random.randint(1, 40)}/file").status_code

    def info(self) -> int:
        """What the library holds."""
        return self._get("").status_code

    def picture(self) -> int:
        """A search by a picture that is sent."""
        file = {"file": ("query.jpg", self._jpeg(400, 300))}
        return self.http.post(f"{self._base}/search/picture", files=file).status_code

    def session(self) -> int:
        """A search with two rounds, reasons, and its end."""
        made = self._post("/sessions", {"query": self._words(), "limit": 12})
        if made.status_code != 201:
            return made.status_code
        path = f"/sessions/{made.json()['session_id']}"
        ids = [hit["image_id"] for hit in made.json()["page"]["hits"]]
        answers = []
        for relevant in (True, False):
            mark = {"image_id": self._random.choice(ids), "relevant": relevant}
            answers.append(self._post(f"{path}/judgements", mark))
            answers.append(self._post(f"{path}/rounds", {"keep_shown": True}))
        answers.append(self._get(f"{path}/why/{ids[0]}"))
        answers.append(self._get(f"{path}/export"))
        answers.append(self.http.delete(f"{self._base}{path}"))
        return max(one.status_code for one in answers)

    def upload(self) -> int:
        """A new picture for the library, while there may be more; a search otherwise."""
        if not self._may_upload():
            return self.search()
        files = {"files": ("new.jpg", self._jpeg(320, 240))}
        return self.http.post(f"{self._base}/uploads", files=files).status_code

    def hostile(self) -> int:
        """What is no picture."""
        file = {"file": ("a.png", self._random.choice(HOSTILE))}
        return self.http.post(f"{self._base}/pictures", files=file).status_code

    def index(self) -> int:
        """A run of indexing."""
        return self._post("/index", {}).status_code

    def cancelled(self) -> int:
        """A search whose reader leaves before the answer."""
        body = json.dumps({"query": self._words(), "limit": 50}).encode()
        head = f"POST {self._base}/search HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(self._place, timeout=30) as raw:
            raw.sendall(head.encode() + body[: self._random.choice([0, 10, len(body)])])
        return 0

    def _words(self) -> str:
        return " ".join(self._random.sample(WORDS, self._random.randint(1, 3)))

    def _jpeg(self, width: int, height: int) -> bytes:
        small = self._pixels.integers(0, 256, (6, 8, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(small).resize((width, height)).save(out, "JPEG")
        return out.getvalue()

    def _get(self, path: str) -> httpx.Response:
        return self.http.get(self._base + path)

    def _post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(self._base + path, json=body)

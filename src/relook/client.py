"""`relook.Client`: a small client of the HTTP API, for programs and tests. Layer: above none.

    with relook.Client("http://127.0.0.1:8765") as client:
        library = client.libraries()[0]["library_id"]
        page = client.search(library, "dog on a beach", limit=10)
        session = client.begin(library, "dog on a beach")

A person of a server where people sign in gives `name` and `password`; a script its `token`.

Answers are the API's own objects (see /api/v1/docs). Errors arrive as the error the server
raised, of the same class, code, message and hint.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from relook.client_connection import Connection, Json

PathLike = str | os.PathLike[str]


class Client(Connection):
    """Speaks to a server that `relook serve` runs. Use it as a context manager, or `close` it.

    Args:
        address: Where the server is.
        token: Its token, when it wants one.
        name: Of a person, who is signed in with `password` and signed out by `close`.
        password: Sent once, and not kept.
        timeout_s: How long an answer may take.
        transport: Another way to reach it, for tests.

    Raises:
        InputError: `bad_credentials` for a name without a password, or one beside a token.
        SignInError: `bad_sign_in` for a wrong name or password; by any method `session_ended`
            when the session has ended meanwhile.
        TriesError: `too_many_tries` after too many wrong passwords.
    """

    def libraries(self) -> list[Json]:
        """Every library of the server."""
        libraries: list[Json] = self._ask("GET", "/libraries")["libraries"]
        return libraries

    def library(self, library_id: str) -> Json:
        """One library and what it holds."""
        return self._ask("GET", f"/libraries/{library_id}")

    def fields(self, library_id: str) -> list[str]:
        """Names that `where` of a search may use."""
        names: list[str] = self._ask("GET", f"/libraries/{library_id}/fields")["fields"]
        return names

    def search(
        self, library_id: str, query: str | Json, *, limit: int | None = None, **only: Any
    ) -> Json:
        """Finds images.

        Args:
            library_id: Where.
            query: The one-line language, or `{"parts": [...]}`.
            limit: How many; as the server is configured when None.
            only: `where`, `path`, `fold`, `away` and `min_fit`, as in the API.
        """
        body = {"query": query, "limit": limit, **only}
        return self._ask("POST", f"/libraries/{library_id}/search", json=body)

    def search_picture(
        self, library_id: str, file: PathLike, *, words: str = "", limit: int | None = None
    ) -> Json:
        """Finds images like a picture file of this machine, with words beside it or without."""
        path = Path(file)
        form = {"query": words, **({} if limit is None else {"limit": str(limit)})}
        return self._ask(
            "POST", f"/libraries/{library_id}/search/picture",
            files={"file": (path.name, path.read_bytes())}, data=form,
        )  # fmt: skip

    def add_picture(self, library_id: str, file: PathLike) -> Json:
        """Uploads a picture to search with; its `picture_id` goes into a query's part."""
        path = Path(file)
        files = {"file": (path.name, path.read_bytes())}
        return self._ask("POST", f"/libraries/{library_id}/pictures", files=files)

    def image(self, library_id: str, image_id: int) -> Json:
        """What the library knows of an image."""
        return self._ask("GET", f"/libraries/{library_id}/images/{image_id}")

    def file(self, library_id: str, image_id: int) -> bytes:
        """The picture's bytes, as a browser gets them."""
        return self._send("GET", f"/libraries/{library_id}/images/{image_id}/file").content

    def thumbnail(self, library_id: str, image_id: int, size_px: int = 320) -> bytes:
        """A small JPEG; 160, 320, 640 or 1280 pixels."""
        path = f"/libraries/{library_id}/images/{image_id}/thumbnail"
        return self._send("GET", path, params={"size": size_px}).content

    def ask(self, question: str = "", **body: Any) -> Json:
        """Answers a question about a picture.

        Args:
            question: May be empty.
            body: `image_id`, `picture`, `url` or `ask_id`, and more; see POST /ask.
        """
        return self._ask("POST", "/ask", json={"question": question, **body, "stream": False})

    def embed(self, library_id: str, texts: Sequence[str]) -> list[list[float]]:
        """The unit vectors of words in the library's space."""
        body = {"texts": list(texts)}
        answer = self._ask("POST", f"/libraries/{library_id}/embeddings", json=body)
        vectors: list[list[float]] = answer["vectors"]
        return vectors

    def sessions(self, library_id: str) -> list[Json]:
        """The sessions of a library, newest first."""
        lines: list[Json] = self._ask("GET", f"/libraries/{library_id}/sessions")["sessions"]
        return lines

    def begin(
        self,
        library_id: str,
        query: str | Json,
        *,
        limit: int | None = None,
        name: str = "",
        **only: Any,
    ) -> Json:
        """Begins a session; as for `search`; `where`, `path` and `min_fit` hold for all of it."""
        body = {"query": query, "limit": limit, "name": name, **only}
        return self._ask("POST", f"/libraries/{library_id}/sessions", json=body)

    def session(self, library_id: str, session_id: str) -> Json:
        """A session as it is now."""
        return self._ask("GET", _session(library_id, session_id))

    def change_session(self, library_id: str, session_id: str, **values: Any) -> Json:
        """Sets `name`, or goes to the round `current_round`."""
        return self._ask("PATCH", _session(library_id, session_id), json=values)

    def delete_session(self, library_id: str, session_id: str) -> None:
        """Removes a session."""
        self._send("DELETE", _session(library_id, session_id))

    def judge(
        self, library_id: str, session_id: str, image_id: int, relevant: bool, **more: Any
    ) -> Json:
        """Marks an image.

        Args:
            library_id: The session's library.
            session_id: The session.
            image_id: Which image.
            relevant: Or irrelevant.
            more: `box`, `caption`, `weight`.
        """
        body = {"image_id": image_id, "relevant": relevant, **more}
        path = _session(library_id, session_id) + "/judgements"
        return self._ask("POST", path, json=body)

    def judge_all(self, library_id: str, session_id: str, judgements: Sequence[Json]) -> list[Json]:
        """Makes several marks, all of them or none.

        Args:
            library_id: The session's library.
            session_id: The session.
            judgements: `image_id`, `relevant` and what `judge` takes, each.
        """
        path = _session(library_id, session_id) + "/judgements/several"
        made = self._ask("POST", path, json={"judgements": list(judgements)})
        judged: list[Json] = made["judgements"]
        return judged

    def revise(self, library_id: str, session_id: str, judgement_id: int, **values: Any) -> Json:
        """Changes `caption`, `relevant`, `box` or `weight` of a judgement."""
        path = f"{_session(library_id, session_id)}/judgements/{judgement_id}"
        return self._ask("PATCH", path, json=values)

    def caption_again(self, library_id: str, session_id: str, judgement_id: int) -> Json:
        """Has a box's caption written anew, as after a captioner's failure."""
        path = f"{_session(library_id, session_id)}/judgements/{judgement_id}/caption"
        return self._ask("POST", path)

    def remove(self, library_id: str, session_id: str, judgement_id: int) -> None:
        """Takes a judgement back."""
        self._send("DELETE", f"{_session(library_id, session_id)}/judgements/{judgement_id}")

    def undo(self, library_id: str, session_id: str) -> Json:
        """Takes the last step back."""
        return self._ask("POST", f"{_session(library_id, session_id)}/undo")

    def redo(self, library_id: str, session_id: str) -> Json:
        """Makes the step again that `undo` took back."""
        return self._ask("POST", f"{_session(library_id, session_id)}/redo")

    def again(self, library_id: str, session_id: str, **how: Any) -> Json:
        """Looks again; `strategy`, `limit`, `keep_shown`, `keep_judged`, `judgements`."""
        return self._ask("POST", f"{_session(library_id, session_id)}/rounds", json=how)

    def why(self, library_id: str, session_id: str, image_id: int, **how: Any) -> Json:
        """What raised and lowered an image of the current page; `strategy`."""
        path = f"{_session(library_id, session_id)}/why/{image_id}"
        return self._ask("GET", path, params=how)

    def influence(self, library_id: str, session_id: str, judgement_id: int, **how: Any) -> Json:
        """Which images a judgement moved most; `strategy`."""
        path = f"{_session(library_id, session_id)}/influence/{judgement_id}"
        return self._ask("GET", path, params=how)

    def estimate(self, library_id: str, session_id: str, **how: Any) -> Json:
        """How many pictures of the kind there are, and are found; `limit`, `passed_over`."""
        return self._ask("GET", f"{_session(library_id, session_id)}/estimate", params=how)

    def captions(self, library_id: str, session_id: str) -> Iterator[Json]:
        """Judgements as their captions are written; goes on until it is closed."""
        yield from self._events(f"{_session(library_id, session_id)}/events", "caption")

    def export(
        self, library_id: str, session_id: str, form: str = "json", what: str = "session"
    ) -> bytes:
        """A session, or its page as `json`, `csv` or `zip` with `what="results"`."""
        path = f"{_session(library_id, session_id)}/export"
        return self._send("GET", path, params={"format": form, "what": what}).content

    def import_session(self, library_id: str, exported: bytes) -> Json:
        """Adds a session that `export` gave."""
        headers = {"Content-Type": "application/json"}
        path = f"/libraries/{library_id}/sessions/import"
        return self._ask("POST", path, content=exported, headers=headers)

    def concepts(self, library_id: str) -> list[Json]:
        """The concepts of a library, by name."""
        lines: list[Json] = self._ask("GET", f"/libraries/{library_id}/concepts")["concepts"]
        return lines

    def save_concept(
        self, library_id: str, session_id: str, name: str, *, replace: bool = False
    ) -> Json:
        """Keeps what a session has learnt under a name, for any query (`@name + snow`)."""
        body = {"session_id": session_id, "name": name, "replace": replace}
        return self._ask("POST", f"/libraries/{library_id}/concepts", json=body)

    def albums(self, library_id: str) -> list[Json]:
        """The albums of a library: Favourites, then by name."""
        lines: list[Json] = self._ask("GET", f"/libraries/{library_id}/albums")["albums"]
        return lines

    def create_album(self, library_id: str, name: str, image_ids: Sequence[int] = ()) -> Json:
        """Makes an album; its name must be free."""
        body = {"name": name, "image_ids": list(image_ids)}
        return self._ask("POST", f"/libraries/{library_id}/albums", json=body)

    def change_album(
        self, library_id: str, album_id: int, add: Sequence[int] = (), remove: Sequence[int] = ()
    ) -> Json:
        """Puts images into an album, and takes others out; it as it is then."""
        path = f"/libraries/{library_id}/albums/{album_id}"
        for image_ids, route in ((add, "images"), (remove, "images/remove")):
            if image_ids:
                self._ask("POST", f"{path}/{route}", json={"image_ids": list(image_ids)})
        return self._ask("GET", path)

    def album(self, library_id: str, concept_id: int, **how: Any) -> Json:
        """The pictures that a concept holds now; `limit`, `seen`."""
        path = f"/libraries/{library_id}/concepts/{concept_id}/album"
        return self._ask("GET", path, params=how)

    def index(self, library_id: str, paths: Sequence[PathLike] = (), *, text: bool = False) -> Json:
        """Starts indexing folders of the server, or what was added before; returns the job.

        With `text` the words in pictures are read, too.
        """
        body = {"paths": [os.fspath(path) for path in paths], "text": text}
        return self._ask("POST", f"/libraries/{library_id}/index", json=body)

    def upgrade_cost(self, library_id: str) -> Json:
        """What an upgrade to the present version of the library's encoder would take."""
        return self._ask("GET", f"/libraries/{library_id}/upgrade")

    def upgrade(self, library_id: str) -> Json:
        """Starts making all vectors again by that encoder; returns the job."""
        return self._ask("POST", f"/libraries/{library_id}/upgrade")

    def upload(self, library_id: str, files: Sequence[PathLike]) -> Json:
        """Adds picture files of this machine to the library; returns the job."""
        paths = [Path(file) for file in files]
        form = [("files", (path.name, path.read_bytes())) for path in paths]
        return self._ask("POST", f"/libraries/{library_id}/uploads", files=form)

    def job(self, job_id: str, action: str | None = None) -> Json:
        """A job as it is now, after `pause`, `resume` or `stop` when one is given."""
        if action is None:
            return self._ask("GET", f"/jobs/{job_id}")
        return self._ask("POST", f"/jobs/{job_id}/{action}")

    def progress(self, job_id: str) -> Iterator[Json]:
        """The job whenever it moved on, until it is over."""
        yield from self._events(f"/jobs/{job_id}/events", "progress")


def _session(library_id: str, session_id: str) -> str:
    return f"/libraries/{library_id}/sessions/{session_id}"

"""Hostile pictures by every way in: no crash, bounded memory and time, a reason for each."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hostile_pictures import Corpus, corpus
from patient_relook import PATIENCE_S
from PIL import Image
from server_parts import Running, serving, small_library

import relook
from relook.core.errors import ImageError
from relook.core.images import decode
from relook.core.settings import ImageLimits, WebLimits
from relook.rag.fetching import subject_at
from relook.search.explain import heat_map
from relook.testing import ColourEncoder, noise
from relook.testing.web_server import Reply
from relook.testing.web_server import serving as web

REFUSED = {"not_an_image", "truncated", "too_many_pixels", "undecodable"}
TIGHT = ImageLimits(isolate=True, isolated_bytes=600 * 1024**2, isolated_s=20)


@pytest.fixture(scope="module")
def hostile() -> Corpus:
    return corpus()


def code_of(data: bytes, limits: ImageLimits) -> str | None:
    try:
        decode(data, 64, limits)
    except ImageError as error:
        return error.code if error.message else "no reason"
    return None


def fits(code: str | None, wanted: str | None) -> bool:
    return code == wanted or (wanted == "*" and (code is None or code in REFUSED))


def test_each_is_refused_for_its_reason_within_bounds(hostile: Corpus) -> None:
    """In a process with 600 MiB: none gets near that, or it would say so."""
    here = {name: code_of(data, ImageLimits()) for name, (data, _) in hostile.items()}
    apart = {name: code_of(data, TIGHT) for name, (data, _) in hostile.items()}
    wrong = {name: code for name, code in here.items() if not fits(code, hostile[name][1])}
    assert wrong == {}
    assert apart == here
    assert len(hostile) >= 60


def test_indexing_lists_each_and_goes_on(hostile: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (data, _) in hostile.items():
        (folder / f"{name}.png").write_bytes(data)  # every name says it is a picture
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        report = library.add(folder)
        codes = {os.path.basename(one.facts.path).decode(): one.code for one in report.skipped}
        assert report.n_added + len(codes) == len(hostile)
        for name, (_, wanted) in hostile.items():
            assert fits(codes.get(f"{name}.png"), wanted), name
        again = library.add(folder)
        assert (again.n_added, again.n_unchanged) == (0, report.n_added)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    library = small_library(folder)
    library.limits = replace(library.limits, isolated_s=60)
    with serving(library, cache=folder / "cache") as running:
        yield running


def test_uploads_and_query_pictures(server: Running, hostile: Corpus) -> None:
    for name, (data, wanted) in hostile.items():
        file = {"file": (name, data, "image/png")}
        answer = server.http.post(f"{server.base}/pictures", files=file)
        code = None if answer.status_code == 201 else answer.json()["error"]["code"]
        assert fits(code, wanted), name
        assert answer.status_code == (201 if code is None else 422), name
        if code is None:
            _is_harmless(server, answer.json()["picture_id"], name)


def _is_harmless(server: Running, picture_id: str, name: str) -> None:
    """What the server shows of it is a JPEG of its own; searching with it works."""
    shown = server.get(f"/pictures/{picture_id}/thumbnail")
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).format == "JPEG"
    assert b"script" not in shown.content
    parts = {"parts": [{"picture": picture_id}]}
    found: httpx.Response = server.post("/search", {"query": parts, "limit": 3})
    assert found.status_code == 200, name


def test_uploads_into_the_library(server: Running, hostile: Corpus) -> None:
    files = [("files", (name, data, "image/png")) for name, (data, _) in hostile.items()]
    answer = server.http.post(f"{server.base}/uploads", files=files, timeout=PATIENCE_S)
    assert answer.status_code == 202
    refused = {one["code"] for one in answer.json()["refused"]}
    assert refused == REFUSED
    *_, job = server.client.progress(answer.json()["job_id"])
    report = job["report"]
    assert (job["state"], report["n_skipped"]) == ("done", 0)
    assert report["n_added"] == len(hostile) - len(answer.json()["refused"])


def test_what_the_web_sends_for_ask(hostile: Corpus) -> None:
    limits = WebLimits(timeout_s=20, private_ok=True, max_picture_bytes=4 * 1024**2)
    with web() as site:
        for name, (data, wanted) in hostile.items():
            path = quote(f"/{name}")
            site.replies[path] = Reply(data, headers={"Content-Type": "image/png"})
            try:
                code = None
                assert subject_at(site.address + path, limits).image(64).mode == "RGB"
            except ImageError as error:
                code = error.code if site.address in error.message else "not named"
            assert fits(code, wanted), name


def test_a_careful_person_has_every_picture_decoded_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `images.isolate`: while indexing, for a query picture, a box, a heat map."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise(1).save(folder / "a.png")
    here: list[str] = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: (here.append("open"), real(*a, **k))[1])
    limits = ImageLimits(isolate=True)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder(), limits=limits) as library:
        assert library.add(folder).n_added == 1
        library.similar(folder / "a.png")
        session = library.look("red")
        session.judge(1, relevant=True, box=relook.Box(0, 0, 0.5, 0.5))
        heat_map(library.engine, folder / "a.png", library.engine.encoder.encode_texts(["a"])[0], 3)
        library.ask(1, "what is it?", providers=["library"])
    assert here == []

"""What reads bytes of strangers, one function each: only errors made on purpose may come out.

A target takes bytes and returns nothing. It raises when Relook does what it must not: any
exception but a `RelookError`, or an answer that breaks a promise. `run.py` drives them with
coverage as its guide, tests/unit/test_fuzz.py with hypothesis for a short while.
"""

import atexit
import json
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relook.captioners.wording import clean
from relook.compat.visualref import read_old, translate
from relook.core.config_file import load_config
from relook.core.errors import RelookError
from relook.core.plain_text import inert, plain
from relook.core.secret import Secret
from relook.core.settings import SessionLimits
from relook.core.types import Query
from relook.core.web import check_url, host_of
from relook.exchange.faiss_import import FaissFolder
from relook.exchange.flat_index import FlatWriter
from relook.gateway.server_settings import ServerSettings
from relook.library.image_words import Sidecars
from relook.library.manifest import Manifest
from relook.library.session_rows import read_judgement, read_round, read_session, record_values
from relook.providers.base import Lookup, ProviderResult, Subject
from relook.providers.google_vision import GoogleVisionProvider
from relook.providers.json_service import JsonService
from relook.providers.replay import ReplayProvider
from relook.providers.searxng import SearxngProvider
from relook.providers.serpapi import (
    BingProvider,
    LensExactProvider,
    SerpApiProvider,
    YandexProvider,
)
from relook.rag.answer_text import cite
from relook.rag.fetching import readable
from relook.search.grammar import parse_query
from relook.search.session_file import FORMAT, read_file

PLACE = Path(tempfile.mkdtemp(prefix="relook-fuzz-"))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)
SUBJECT = Subject(b"x", "image/png", "00", 0, 1, 1, url="https://pictures.example.org/a.png")
SECRET = Secret("a-key-of-the-fuzzer", "here")


@dataclass(frozen=True)
class Target:
    """One target.

    Args:
        run: Takes the bytes.
        seeds: Where to begin.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...] = (b"",)


def on_purpose(work: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """The work, with the errors taken away that it may raise."""

    def run(data: bytes) -> None:
        told = None
        try:
            work(data)
        except RelookError as error:
            told = error
        assert told is None or (told.code and told.message and json.dumps(told.as_dict()))

    return run


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _file(name: str, data: bytes) -> Path:
    path = PLACE / name
    path.write_bytes(data)
    return path


def _session(data: bytes) -> None:
    """What a session file lets through can be kept, told and read again as it is."""
    file, values = read_file(data, "the file", SessionLimits())
    for row, raw in zip(file.rounds, values["rounds"], strict=True):
        record = record_values(row.record, raw["record"])
        hits, kept = (json.dumps(one).encode() for one in (row.hits, record))
        strategy = row.strategy.encode()
        stored = (row.number, row.parent, strategy, hits, kept, row.parent is None, row.made_s)
        read = read_round(stored)
        assert read is not None
        assert not read.problems, read.problems
        assert (read.hits, read.record) == (row.hits, record)
    for one in file.judgements:
        assert 0 < one.weight <= 1000
    json.dumps(file.query.as_dict(), allow_nan=False)
    file.name.encode()


def _stored(data: bytes) -> None:
    """Rows of the catalog are read whatever stands in them, and can always be told."""
    parts = (data + b"\xff" * 5).split(b"\xff")
    numbers = [len(one) or None for one in parts]
    session = read_session((parts[0], parts[1], parts[2], numbers[3], numbers[4]))
    found = read_round((numbers[0] or 0, numbers[1], parts[1], parts[2], parts[3], False, None))
    judged = read_judgement(
        (1, numbers[0], numbers[1], numbers[2], parts[2], parts[3], parts[4], numbers[4], parts[0],
         None)
    )  # fmt: skip
    told = judged if isinstance(judged, str) else judged.as_dict()
    told = [session.query, session.name, session.problems, found and found.record, told]
    json.dumps(told, allow_nan=False, ensure_ascii=False).encode("utf-8", "surrogateescape")
    Query.from_dict(session.query)


def _query(data: bytes) -> None:
    query = parse_query(_text(data))
    assert query.parts
    Query.from_dict({"parts": [dict(part.as_dict()) for part in query.parts]})


def _sidecar(suffix: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        sidecars = Sidecars([_file(f"sidecar{suffix}", data)])
        words = sidecars.get(bytes(PLACE / "a.png"))
        if words is not None:
            json.dumps(dict(words.metadata), allow_nan=False).encode()
            f"{words.title}{words.caption}".encode()

    return run


def _manifest(data: bytes) -> None:
    _file("manifest.json", data)
    Manifest.read(PLACE)


@contextmanager
def _answering(status: int, data: bytes) -> Iterator[None]:
    """Services answer this, whatever they are asked."""
    before = JsonService._exchange
    JsonService._exchange = lambda *_: (status, data, None)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        JsonService._exchange = before  # type: ignore[method-assign]


def _provider(make: Callable[[], Any]) -> Callable[[bytes], None]:
    made: list[Any] = []

    def run(data: bytes) -> None:
        if not made:
            made.append(make())
        status = (200, 400, 403, 429, 500)[data[0] % 5] if data else 200
        with _answering(status, data[1:]):
            _check(made[0].find(SUBJECT, Lookup(limit=20)))

    return run


def _check(result: ProviderResult) -> None:
    """A provider gives an outcome, whatever the service does, and one that can be kept."""
    kept = json.loads(json.dumps(result.as_dict(pictures=True)))
    assert ProviderResult.from_dict(kept).outcome is result.outcome
    assert len(result.matches) <= 20
    assert SECRET.reveal() not in result.message
    for match in result.matches:
        for url in (match.page_url, match.image_url, match.thumbnail_url):
            assert not url or url.startswith(("http://", "https://")), url


def _replay(data: bytes) -> None:
    _check(ReplayProvider(_file("replay.jsonl", data)).find(SUBJECT, Lookup(limit=20)))


def _caption(data: bytes) -> None:
    said = clean(_text(data), 12)
    assert said
    assert len(said.split()) <= 12


def _cited(data: bytes) -> None:
    assert set(cite(_text(data), {1, 2, 3}).numbers) <= {1, 2, 3}


def _plain(data: bytes) -> None:
    found = plain(_text(data), 200)
    assert len(found) <= 200
    assert "\n" not in found
    assert not set(inert(found)) & set("[]<>`")


def _old_settings(suffix: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        tomllib.loads(translate(read_old(_file(f"old{suffix}", data))).toml())

    return run


def _faiss(data: bytes) -> None:
    paths, _, index = data.partition(b"\xff\xfe")
    _file("image_index.faiss", index)
    _file("image_paths.txt", paths)
    for names, rows in FaissFolder(PLACE / "image_index.faiss").entries():
        assert len(names) == len(rows)


def _config(data: bytes) -> None:
    sections = {"images": "relook.core.settings:ImageLimits", "serve": f"{_SERVE}:ServerSettings"}
    list(load_config(sections, [_file("relook.toml", data)], {}).values())


def _address(data: bytes) -> None:
    host_of(_text(data))
    assert check_url(_text(data)).scheme in ("http", "https")


def _host(data: bytes) -> None:
    named = _text(data)
    if ServerSettings().is_our_host(named):
        bare = named.lower().rstrip(".").strip("[]")
        assert bare == "localhost" or bare[0] in "0123456789:", named


def _flat_index() -> bytes:
    path = PLACE / "seed.faiss"
    with FlatWriter(path, 4) as writer:
        writer.append(np.ones((2, 4), np.float32))
    return b"a.png\nb.png\n\xff\xfe" + path.read_bytes()


_SERVE = "relook.gateway.server_settings"
_RECORD = {
    "notes": ["a"], "choice": {"strategy": "none", "step": 0.5, "reason": "r", "trials": []},
    "only": {"where": {"title": "a*"}, "path": None}, "instruction": "colours",
}  # fmt: skip
_SESSION = {
    "format": FORMAT, "name": "a", "query": {"parts": [{"text": "red"}]},
    "current_round": 0, "images": {"1": {"content": "00" * 16, "path": "a.png"}},
    "rounds": [{"number": 0, "parent": None, "strategy": "none", "hits": [[1, 0.5, 0]],
                "record": _RECORD}],
    "judgements": [{"round": 0, "image_id": 1, "relevant": True, "box": [0, 0, 1, 1],
                    "weight": 1.0, "caption": "a", "caption_by": "person", "led_to": None}],
}  # fmt: skip
_COCO = {
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [{"image_id": 1, "caption": "a"}, {"image_id": 1, "category_id": 2}],
    "categories": [{"id": 2, "name": "dog"}],
}
_GOOGLE = {
    "responses": [{
        "webDetection": {
            "bestGuessLabels": [{"label": "cat"}], "webEntities": [{"description": "Cat"}],
            "pagesWithMatchingImages": [{
                "url": "https://a.example/", "pageTitle": "<b>Cat</b>",
                "fullMatchingImages": [{"url": "https://a.example/1.jpg"}],
            }],
            "visuallySimilarImages": [{"url": "https://b.example/1.jpg"}],
        },
        "error": {"code": 3, "message": "no"},
    }],
    "error": {"status": "RESOURCE_EXHAUSTED", "message": "quota"},
}  # fmt: skip
_SERP = {
    "search_metadata": {"status": "Success"}, "error": "no results",
    "visual_matches": [{"title": "A", "link": "https://a.example/", "source": "s",
                        "thumbnail": "https://t.example/", "price": {"value": "$3"}}],
    "exact_matches": [{"title": "A", "link": "https://a.example/"}],
    "image_results": [{"title": "A", "link": {"url": "https://a.example/"}}],
    "knowledge_graph": {"title": "K", "description": "D"},
    "related_content": [{"query": "q"}], "search_information": {"images_results_state": "x"},
}  # fmt: skip
_SEARX = {
    "results": [{"title": "t", "url": "https://a.example/", "img_src": "https://b.example/1.png",
                 "engine": "tineye", "content": "c"}],
    "unresponsive_engines": [["tineye", "timeout"]],
}  # fmt: skip
_RESULT = ProviderResult.from_dict({"provider": "p", "outcome": "nothing"})


def _json(values: object, begin: bytes = b"") -> bytes:
    return begin + json.dumps(values).encode()


def _recorded() -> bytes:
    match = {"provider": "p", "kind": "page", "title": "t", "page_url": "https://a.example/"}
    result = {**_RESULT.as_dict(), "outcome": "found", "matches": [match]}
    row = {"content_hash": "00", "url": None, "words": "", "result": result}
    return _json(row) + b"\n"


TARGETS: dict[str, Target] = {
    name: Target(on_purpose(run), seeds)
    for name, run, seeds in (
        ("query", _query, (b"dog + 0.5:snow - people", b"image:a.jpg@0.1,0.2,0.6,0.9 + id:42")),
        ("session", _session, (_json(_SESSION),)),
        ("stored", _stored,
         (b"s\xffname\xff" + _json(_SESSION["query"]) + b"\xff" + _json(_RECORD),
          b"\0\0\0\0\xffauto\xff[[1, 0.5, 0]]\xff" + _json(_RECORD) + b"\xffperson")),
        ("csv", _sidecar(".csv"), (b"path,title,caption\na.png,T,\"C, d\"\n",)),
        ("jsonl", _sidecar(".jsonl"), (b'{"path": "a.png", "title": "T", "x": [1, NaN]}\n',)),
        ("coco", _sidecar(".json"), (_json(_COCO),)),
        ("manifest", _manifest, (b'{"format_version": 1, "encoder": "e", "fingerprint": {}}',)),
        ("google", _provider(lambda: GoogleVisionProvider(SECRET)),
         (_json(_GOOGLE, b"\0"), _json(_GOOGLE, b"\2"))),
        ("serpapi", _provider(lambda: SerpApiProvider(secret=SECRET)), (_json(_SERP, b"\0"),)),
        ("exact", _provider(lambda: LensExactProvider(secret=SECRET)), (_json(_SERP, b"\0"),)),
        ("bing", _provider(lambda: BingProvider(secret=SECRET)), (_json(_SERP, b"\0"),)),
        ("yandex", _provider(lambda: YandexProvider(secret=SECRET)), (_json(_SERP, b"\0"),)),
        ("searxng", _provider(lambda: SearxngProvider("http://s.example")),
         (_json(_SEARX, b"\0"),)),
        ("replay", _replay, (_recorded(),)),
        ("caption", _caption, (b"Sure! Here it is:\n\"a red bus\"", b"USER: x ASSISTANT: y")),
        ("citations", _cited,
         (b"It is [1], [2-4] and [9; 3].", "\u30101\u2020source\u3011".encode())),
        ("plain", _plain, (b"<b>a</b> &lt;script&gt; <|im_start|> \xe2\x80\xae",)),
        ("page", readable, (b"<html><body><p>" + b"words and words. " * 30 + b"</p></body>",)),
        ("yaml", _old_settings(".yaml"), (b"TOP_K: 5\nmodel_family: clip\nmodel_id: a/b\n",)),
        ("env", _old_settings(".env"), (b"export TOP_K=5 # five\nmodel_id='a/b'\n",)),
        ("faiss", _faiss, (_flat_index(),)),
        ("config", _config, (b"[images]\nmax_pixels = 5\n[serve]\ntoken = 'x'\n",)),
        ("address", _address, (b"http://user@[::1%25a]:80/?q#f", b"https://a.example/")),
        ("host", _host, (b"localhost:80", b"[::1]", b"127.0.0.1.evil.example")),
    )
}  # fmt: skip

"""docs/json.md is a promise: each key that it lists is there, and of the type that it says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import relook
from relook.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
COLOURS = {"red": (250, 0, 0), "blue": (0, 0, 250), "green": (0, 250, 0), "grey": (99, 99, 99)}
ROW = re.compile(r"^\| `([^`]+)` \| (\w+)(\?)? \| (.*) \|$", re.MULTILINE)
TYPES = {
    "text": str, "number": (int, float), "flag": bool, "list": list, "object": dict,
}  # fmt: skip
PAGES = "Pages: `relook search`, `similar`, `look`, `refine`, `session show`, `concept album`"


def promised() -> dict[str, list[tuple[str, str, bool, bool]]]:
    """Heading -> key, type, may be null, may be left out."""
    _, *parts = PAGE.read_text("utf-8").split("\n## ")
    return {
        part.split("\n")[0]: [
            (key, kind, bool(null), what.startswith("*if known*"))
            for key, kind, null, what in ROW.findall(part)
        ]
        for part in parts
    }


PROMISED = promised()


def values(document: Any, key: str) -> Iterator[Any]:
    """Every value at a key of the form `hits[].path`; fails where a step is missing."""
    step, _, rest = key.partition(".")
    name = step.removesuffix("[]")
    assert name in document, f"{key} is not in {sorted(document)}"
    for value in document[name] if step.endswith("[]") else [document[name]]:
        if rest:
            yield from values(value, rest)
        else:
            yield value


def check(heading: str, document: dict[str, Any]) -> None:
    for key, kind, null, left_out in PROMISED[heading]:
        if left_out:
            listed, _, name = key.partition("[].")
            given = [hit[name] for hit in document[listed] if name in hit]
        else:
            given = list(values(document, key))
            assert given or not key.partition("[]")[1], f"nothing here shows what {key} is"
        for value in given:
            right = isinstance(value, TYPES[kind]) and (kind == "flag" or value is not True)
            assert right or (null and value is None), f"{key} is {value!r}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("promise")
    (place / "pictures").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(place / "pictures" / f"{name}.jpg")
    (place / "pictures" / "broken.jpg").write_text("no picture")
    (place / "words.csv").write_text("path,caption,city\npictures/red.jpg,all red,Oslo\n")
    (place / "queries.jsonl").write_text('{"query": "red", "relevant": ["red.jpg"]}\n')
    return place


def test_the_keys_of_the_page_are_there(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("RELOOK_LIBRARY", str(place / "library"))
    monkeypatch.delenv("RELOOK_MODEL", raising=False)
    asked: set[str] = set()

    def ask(heading: str, line: str, *more: str, code: int = 0) -> dict[str, Any]:
        asked.add(heading)
        assert main([*line.split(), *more, "--json"]) == code, capsys.readouterr()
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        check(heading, document)
        return document

    ask("`relook index`", "index pictures --metadata words.csv", code=3)
    page = ask(PAGES, "search red")
    metadata = {Path(hit["path"]).name: hit["metadata"] for hit in page["hits"]}
    assert metadata["red.jpg"]["city"] == "Oslo"
    ask(PAGES, "similar pictures/red.jpg")
    session = ask(PAGES, "look red")["session_id"]
    ask(PAGES, refine := f"refine {session} --relevant 1 --keep-shown")
    ask("`relook refine` also", refine)
    ask(PAGES, f"session show {session}")
    assert main(["concept", "save", "warm", "--session", session]) == 0
    capsys.readouterr()
    ask(PAGES, "concept album warm")
    ask("`relook info`", "info")
    ask("`relook session list`", "session list")
    ask("`relook album add`, `remove`", "album add Warm pictures/red.jpg")
    ask("`relook album list`", "album list")
    ask("`relook album show`", "album show Warm")
    ask("`relook ask`", "ask pictures/red.jpg", "What is this?")
    ask("`relook bench feedback`", "bench feedback --queries queries.jsonl --page 1 --rounds 2")
    ask("Errors, of every command", "search red --library nowhere", code=1)
    assert asked == set(PROMISED)
    with relook.Library(place / "library") as library:
        assert repr(library) == f"<Library '{place}/library': 4 images>"
        shown = repr(library.session(session))
        assert re.fullmatch(rf"<\w+ {session} 'red': page 3, 2 marks>", shown)
    assert repr(library) == f"<Library '{place}/library': not open>"


def test_a_key_that_goes_or_changes_its_type_is_noticed() -> None:
    hit = {"image_id": 1}
    with pytest.raises(AssertionError, match=r"hits\[\]\.path|path is not in"):
        list(values({"hits": [hit]}, "hits[].path"))
    whole = {"error": {"code": "no_file", "message": "gone", "hint": 3}}
    with pytest.raises(AssertionError, match=r"error\.hint is 3"):
        check("Errors, of every command", whole)

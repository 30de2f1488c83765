"""No tool of `relook mcp` answers with more than agents' hosts take, whatever a library holds."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ask_parts import own_config  # noqa: F401 -- a fixture
from mcp.types import CallToolResult, TextContent
from mcp_parts import SHOWS_APPS, call, calls, code, ids, pictures, serving, values

import relook
from relook.app.asking import Asking
from relook.app.facade import Library
from relook.core.settings import EvidenceSettings, GatherSettings
from relook.library.concept_values import ConceptLine
from relook.library.session_values import SessionRow
from relook.mcp.server import RelookServer
from relook.mcp.short_replies import MAX_BYTES, MAX_TOKENS, n_bytes, n_tokens, within_limits
from relook.search.concepts import Concepts
from relook.testing import ColourEncoder, noise

N = 102
LONG = '\u4e00 caption \\"that" \u0000 goes on; ' * 385  # some 10,000 characters
SESSIONS = 800


def small_enough(result: CallToolResult) -> bool:
    return n_tokens(result) <= MAX_TOKENS and n_bytes(result) <= MAX_BYTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many pictures, of which eight are large and full of detail, with long words."""
    place = tmp_path_factory.mktemp("sizes")
    (place / "pictures").mkdir()
    with (place / "about.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "title", "caption", *(f"fact {n}" for n in range(40))])
        for number in range(1, N + 1):
            side = (1000, 750) if number <= 8 else (12, 12)
            name = f"pictures/{number:03d}-{'x' * 150}.png"
            noise(number, *side).save(place / name, compress_level=1)
            rows.writerow([name, LONG, LONG, *(f"{n} {LONG[:300]}" for n in range(40))])
        for number in range(300):
            (place / "pictures" / f"broken-{number}-{'y' * 180}.jpg").write_text("no picture")
    with relook.Library(place / "library", encoder=ColourEncoder()) as library:
        library.add(place / "pictures", metadata=place / "about.csv")
    return place / "library"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RelookServer]:
    asking = Asking(
        gather=GatherSettings(limit=40),
        evidence=EvidenceSettings(items=40, text_chars=10_000, title_chars=10_000, verify=False,
                                  min_similarity=0.0),
    )  # fmt: skip
    patch = pytest.MonkeyPatch()
    row = SessionRow("0" * 32, "name " * 40, {"parts": []}, 0, 0.0)
    rows = [replace(row, session_id=f"{number:032d}") for number in range(SESSIONS)]
    lines = [ConceptLine(n, "concept " * 25, "words " * 300, 1, 1, 0.0) for n in range(SESSIONS)]
    patch.setattr(Library, "sessions", lambda self: rows)
    patch.setattr(Concepts, "lines", lambda self: lines)
    with serving(folder, asking=asking, n_pictures=8, picture_bytes=4 * 1024**2) as running:
        yield running
    patch.undo()


def every_tool(server: RelookServer) -> list[tuple[str, dict[str, Any]]]:
    """A call of each tool, asking for as much as it gives."""
    begun = call(server, "begin_session", words="red", limit=100, name="n" * 200)
    session_id = values(begun)["session_id"]
    marks = {"relevant": list(range(9, 30)), "irrelevant": list(range(60, 70)), "limit": 100,
             "strategy": "rocchio"}  # fmt: skip
    looked = values(call(server, "look_again", session_id=session_id, **marks))
    assert looked["round"] == 1
    first, judged = looked["hits"][0]["image_id"], looked["judgements"][0]["judgement_id"]
    words = {"box": [0, 0, 0.5, 1], "caption": LONG[:2000]}
    proposed = [{"image_id": n, **words, "reason": LONG[:300]} for n in range(1, 13)]
    saved = {"session_id": session_id, "replace": True}
    return [
        ("list_libraries", {}),
        ("library_info", {"skipped": True}),
        ("search", {"words": "red", "limit": 100, "fold": False}),
        ("similar", {"image_id": 1, "limit": 100}),
        ("show_images", {"image_ids": list(range(1, 9)), "size_px": 2048}),
        ("show_images", {"image_ids": list(range(1, 65))}),
        ("begin_session", {"words": "red", "limit": 100}),
        ("explain", {"session_id": session_id, "image_id": first}),
        ("explain", {"session_id": session_id, "judgement_id": judged}),
        ("look_again", {"session_id": session_id, **marks}),
        ("show_session", {"session_id": session_id}),
        ("estimate", {"session_id": session_id, "limit": 100}),
        ("undo", {"session_id": session_id}),
        ("redo", {"session_id": session_id}),
        ("list_sessions", {}),
        ("save_concept", {**saved, "name": "a"}),
        ("save_concept", {**saved, "name": "b" * 100}),
        ("show_concept", {"name": "a", "album": 100}),
        ("merge_concepts", {"first": "a", "second": "b" * 100, "into": "c"}),
        ("change_concept", {"name": "c", "rename": "d"}),
        ("list_concepts", {}),
        ("delete_concept", {"name": "d"}),
        ("change_album", {"name": "x" * 200, "add": list(range(1, 101))}),
        ("list_albums", {}),
        ("ask", {"image_id": 1, "question": "What is it? " * 100}),
        ("propose_marks", {"session_id": session_id, "marks": proposed}),
        ("page_pictures", {"image_ids": list(range(1, 17)), "size_px": 1280}),
        ("judge", {"session_id": session_id, "image_id": 1, "relevant": True, **words}),
        ("change_judgement", {"session_id": session_id, "judgement_id": judged, **words}),
        ("take_back", {"session_id": session_id, "judgement_id": judged}),
    ]


@pytest.mark.usefixtures("own_config")
def test_every_answer_is_small_enough(server: RelookServer) -> None:
    asked = every_tool(server)
    tools = {tool.name for tool in server._tool_manager.list_tools()}
    assert {name for name, _ in asked} == tools
    results = calls(server, *asked, extensions=SHOWS_APPS)
    for (name, _), result in zip(asked, results, strict=True):
        assert not result.is_error, (name, result.content)
        assert small_enough(result), (name, n_tokens(result), n_bytes(result))
        shortened = values(result).get("shortened", [])
        text = result.content[0].text
        assert ("shortened: " in text) == bool(shortened), name
        assert all(note in text for note in shortened), name
        assert not any(note.startswith("hits") for note in shortened), (name, shortened)


def test_a_long_list_says_where_it_goes_on(server: RelookServer) -> None:
    for tool, key in (("list_sessions", "sessions"), ("list_concepts", "concepts")):
        first = values(call(server, tool))
        n = len(first[key])
        assert 20 < n < SESSIONS
        assert f"{key}: the first {n:,} of {SESSIONS:,}" in first["shortened"]
        assert f"call {tool} again with offset {n}" in first["shortened"][-1]
        second = values(call(server, tool, offset=n))
        name = "session_id" if key == "sessions" else "concept_id"
        assert int(second[key][0][name]) == n
        assert f"with offset {n + len(second[key])}" in second["shortened"][-1]
        last = values(call(server, tool, offset=SESSIONS - 5))
        assert len(last[key]) == 5
        assert "shortened" not in last or "first" not in last["shortened"][0]


def test_many_pictures_are_one_sheet_with_their_ids(server: RelookServer) -> None:
    many = list(range(1, 65))
    sheet, few = calls(
        server,
        ("show_images", {"image_ids": many}),
        ("show_images", {"image_ids": [3, 4], "sheet": True}),
    )
    assert (values(sheet)["on_sheet"], values(few)["on_sheet"]) == (True, True)
    (drawn,) = pictures(sheet)
    assert max(drawn.size) <= 1568  # larger ones are reduced before a model sees them
    assert [shown["image_id"] for shown in values(sheet)["images"]] == many
    assert "its image_id" in sheet.content[0].text
    links = [block.uri for block in sheet.content if block.type == "resource_link"]
    assert links == [f"relook://libraries/library/images/{n}/picture" for n in many]
    (two,) = pictures(few)
    assert two.size[0] > two.size[1]
    assert code(call(server, "show_images", image_ids=many, sheet=False)) == "too_many_pictures"


def test_evidence_of_the_library_has_links(server: RelookServer) -> None:
    result = call(server, "ask", image_id=1)
    items = values(result)["evidence"]["items"]
    links = [block.uri for block in result.content if block.type == "resource_link"]
    assert links[0] == f"relook://libraries/library/images/{items[0]['image_id']}/picture"


@pytest.mark.parametrize(
    "content",
    [
        {"answer": LONG * 10},
        {"rows": [{"text": LONG, "rows": [LONG] * 5}] * 200},
        {f"key {n}": LONG[:900] for n in range(3000)},
        {"uri": "x" * 2_000_000},
    ],
)
def test_any_result_is_made_small_enough(content: dict[str, Any]) -> None:
    text = TextContent(type="text", text="\n".join([LONG * 5, *["line"] * 90_000, "the end"]))
    made = within_limits("search", CallToolResult(content=[text], structured_content=content))
    assert small_enough(made)
    lines = made.content[0].text.splitlines()
    assert "the end" in lines
    assert lines[-1].startswith("shortened: ")
    assert made.structured_content["shortened"]
    assert json.dumps(made.structured_content)


def test_what_is_small_stays_as_it_is(server: RelookServer) -> None:
    result = call(server, "search", words="red", limit=1)
    assert len(ids(result)) == 1
    assert within_limits("search", result) is result
    assert values(result)["hits"][0]["title"].startswith("\u4e00 caption")

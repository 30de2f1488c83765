"""The one-line query language: what each line means, and which lines mean nothing."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.core.errors import RelookError
from relook.core.types import Box, Part
from relook.search.grammar import nearly_read, parse_query

# The page's tests read them, too.
LINES = json.loads((Path(__file__).parents[1] / "query_lines.json").read_text("utf-8"))
POOL, TOP = Path("pool.jpg"), Box(0, 0, 1, 0.5)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("dog on a beach", [Part("dog on a beach")]),
        ("  dog \t on   a beach ", [Part("dog on a beach")]),
        ("well-known T-shirt", [Part("well-known T-shirt")]),
        ("C++", [Part("C++")]),
        ("dog + snow - people", [Part("dog"), Part("snow"), Part("people", weight=-1.0)]),
        ("+ dog", [Part("dog")]),
        ("- people + dog", [Part("people", weight=-1.0), Part("dog")]),
        ("dog + 0.5:snow", [Part("dog"), Part("snow", weight=0.5)]),
        ("2: dog - .25:cat", [Part("dog", weight=2.0), Part("cat", weight=-0.25)]),
        ("image:pool.jpg", [Part(image=POOL)]),
        ("image:pool.jpg + at night", [Part(image=POOL), Part("at night")]),
        ("image:pool.jpg@0.1,0.2,0.6,0.9", [Part(image=POOL, box=Box(0.1, 0.2, 0.6, 0.9))]),
        ("0.5:image:my pool.jpg", [Part(image=Path("my pool.jpg"), weight=0.5)]),
        ("image:a -b.jpg - people -cats", [Part(image=Path("a -b.jpg")), Part("people", weight=-1),
                                           Part("cats", weight=-1)]),
        ("dog + -people", [Part("dog"), Part("people", weight=-1)]),
        ("id:42", [Part(image_id=42)]),
        ("dog - id:42@0,0,1,.5", [Part("dog"), Part(image_id=42, box=TOP, weight=-1)]),
        ("id:card", [Part("id:card")]),
        ("image:~nobody_of_this_name/a.jpg", [Part(image=Path("~nobody_of_this_name/a.jpg"))]),
        ("🐕 + 雪", [Part("🐕"), Part("雪")]),
        ("image:a — b.jpg — people", [Part(image=Path("a — b.jpg — people"))]),
        ("image:a.jpg - cats — people", [Part(image=POOL.with_name("a.jpg")),
                                         Part("cats", weight=-1), Part("people", weight=-1)]),
    ],
)  # fmt: skip
def test_a_line_is_read_into_its_parts(line: str, parts: list[Part]) -> None:
    assert list(parse_query(line).parts) == parts


@pytest.mark.parametrize(("line", "parts"), LINES)
def test_the_command_line_reads_what_the_page_reads(line: str, parts: list[dict[str, Any]]) -> None:
    read = [Part(**{**part, "place": _place(part)}) for part in parts]
    assert list(parse_query(line).parts) == read


@pytest.mark.parametrize("line", [line for line, _ in LINES])
def test_a_line_without_grammar_is_words_as_they_stand(line: str) -> None:
    assert parse_query(line, grammar=False).parts == (Part(text=line, literal=True),)


def test_only_words_are_literal() -> None:
    with pytest.raises(RelookError, match="only words are literal"):
        Part(image_id=1, literal=True)
    with pytest.raises(RelookError, match="is empty"):
        parse_query(" ", grammar=False)


def _place(part: dict[str, Any]) -> Box | None:
    """Where the part must be, of what the page sends."""
    return Box(*part["place"]) if part.get("place") else None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "empty_query"),
        (" \t\n ", "empty_query"),
        ("- people", "only_negative"),
        ("-people", "only_negative"),
        ("-", "bad_part"),
        ("dog +", "bad_part"),
        ("dog + - people", "bad_part"),
        ("- + dog", "bad_part"),
        ("image:", "bad_part"),
        ("0:dog", "bad_weight"),
        (f"{'9' * 400}:dog", "bad_weight"),
        ("id:3@0,0,0,1", "bad_box"),
        ("id:3@left", "bad_box"),
        ("image:pool.jpg@0.6,0.2,0.1,0.9", "bad_box"),
    ],
)
def test_a_line_that_means_nothing_says_why(line: str, code: str) -> None:
    with pytest.raises(RelookError) as raised:
        parse_query(line)
    assert raised.value.code == code


def test_a_file_whose_name_looks_like_a_region_is_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a@0,0,1,1").touch()
    assert parse_query("image:a@0,0,1,1").parts == (Part(image=Path("a@0,0,1,1")),)


def test_a_name_too_long_for_any_file_is_still_read() -> None:
    name = "x" * 5000
    assert parse_query(f"image:{name}@0,0,1,1").parts[0].image == Path(name)


@given(st.text())
def test_any_line_is_read_or_refused_with_a_reason(line: str) -> None:
    with contextlib.suppress(RelookError):
        assert parse_query(line).parts


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("nan:dog", "a weight"), ("inf:dog", "a weight"), ("1e9:dog", "a weight"),
        ("-1:dog", "a weight"), ("dog@0,0,1", "a place"),
        ("dog@nan,0,1,1", "a place"), ("dog@0,0,1,1,1", "a place"), ("id:-1", "an image"),
        ("id:abc", "an image"), (f"id:{'9' * 30}", "an image"),
    ],
)  # fmt: skip
def test_what_looks_like_more_than_words_is_told(line: str, what: str) -> None:
    (part,) = parse_query(line).parts
    assert part.text == line
    assert nearly_read(line).startswith(what)


@pytest.mark.parametrize(
    "words", ["dog", "16:9 monitor", "me@home", "12:30", "note: a dog", "a@b, c", "identity", "@"]
)
def test_what_is_words_alone_is_not(words: str) -> None:
    assert not nearly_read(words)


def test_a_ratio_is_words_and_a_weight_is_a_weight() -> None:
    assert parse_query("16:9 monitor").parts == (Part(text="16:9 monitor"),)
    assert parse_query("2:dog").parts == (Part(text="dog", weight=2.0),)

"""Words that stand in pictures: what is equal, what says something, what is asked of the index."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relook.core.errors import QueryError, RequestError
from relook.core.settings import ImageLimits
from relook.core.types import Part, Query
from relook.core.words import telling_words, tokens
from relook.search.grammar import line_of, parse_query
from relook.search.written import phrase
from relook.serving.pictures import QueryPictures
from relook.serving.requests import PartRequest, PartsRequest, to_query


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("INVOICE2021", ["invoice", "2021"]),
        ("Größe naïve Åre", ["grosse", "naive", "are"]),
        ("電子発票", ["電", "子", "発", "票"]),
        ("がぎ", ["が", "ぎ"]),  # not か and き
        ("안녕", ["안", "녕"]),
        ("ﬁne Ⅳ \uff12\uff10\uff12\uff11", ["fine", "iv", "2021"]),
        ("12.50 €", ["12", "50"]),
        ("?!—", []),
    ],
)
def test_words_become_plain_tokens(text: str, parts: list[str]) -> None:
    assert tokens(text) == parts


def test_small_and_short_words_say_nothing() -> None:
    assert telling_words("a photo of the STOP sign at A4 in 42 東京 Stop") == [
        ["stop"], ["sign"], ["42"], ["東", "京"],
    ]  # fmt: skip


@pytest.fixture(scope="module", name="db")
def of_text() -> Iterator[sqlite3.Connection]:
    """A database with an index of one text."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5 (words, tokenize = 'ascii')")
    db.execute("INSERT INTO t VALUES ('')")
    yield db
    db.close()


@settings(max_examples=40)
@given(text=st.text(min_size=1, max_size=40))
@example(text='NEAR(a b) OR "x*" AND NOT words : -y ^z')
def test_whatever_is_typed_is_words_to_the_index(db: sqlite3.Connection, text: str) -> None:
    """Signs of FTS5's own language, quotes included, never reach it as signs."""
    if not tokens(text):
        return
    db.execute("UPDATE t SET words = ?", (" ".join(tokens(f"before {text} after")),))
    rows = db.execute("SELECT 1 FROM t WHERE t MATCH ?", (phrase(text),)).fetchall()
    assert rows == [(1,)]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('text:"invoice 2021"', [Part(written="invoice 2021")]),
        ("text:“invoice  2021”", [Part(written="invoice 2021")]),
        ("TEXT:stop", [Part(written="stop")]),
        ("dog text:stop - people", [Part("dog"), Part("people", weight=-1), Part(written="stop")]),
        ('dog + text:"a - b" -text:copy',
         [Part("dog"), Part(written="a - b"), Part(written="copy", weight=-1)]),
        ("- text:copy + receipt", [Part("receipt"), Part(written="copy", weight=-1)]),
        ("context:stop", [Part("context:stop")]),
    ],
)  # fmt: skip
def test_text_is_a_part_of_the_query_line(line: str, parts: list[Part]) -> None:
    query = parse_query(line)
    assert list(query.parts) == parts
    assert parse_query(line_of(query)) == query
    assert Query.from_dict(query.as_dict()) == query


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ('text:""', "empty_query", "no letter and no digit"),
        ("text:", "empty_query", "no letter and no digit"),
        ('dog text:"?!"', "empty_query", "no letter and no digit"),
        ('text:"invoice 2021', "bad_part", "not closed"),
        ("text:“invoice 2021", "bad_part", "not closed"),
        ("-text:copy", "only_negative", "only says what not to show"),
    ],
)
def test_what_no_text_can_be_is_refused(line: str, code: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse_query(line)
    assert caught.value.code == code


def test_written_words_have_no_region_and_no_second_kind() -> None:
    for values in ({"text": "dog"}, {"image_id": 1}):
        with pytest.raises(QueryError, match="a query part is"):
            Part(written="stop", **values)
    assert Query((Part(written="stop"),)).is_written
    assert not Query((Part("dog"), Part(written="stop"))).is_written


def test_a_request_names_written_words_as_a_part() -> None:
    request = PartsRequest((PartRequest(text="dog"), PartRequest(written="stop", weight=-1.0)))
    parts = to_query(request, QueryPictures(Path("nowhere"), ImageLimits())).parts
    assert parts == (Part("dog"), Part(written="stop", weight=-1.0))
    with pytest.raises(RequestError, match="exactly one"):
        PartRequest(text="dog", written="stop")

"""The built-in tokenizer gives the ids that the `tokenizers` package gives."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import relook.encoders.builtin
from relook.encoders.wordpiece import WordPiece

FILE = Path(relook.encoders.builtin.__file__).with_name("builtin_model") / "tokenizer.json"
MAX_TOKENS = 16


@pytest.fixture(scope="module")
def pair() -> tuple[WordPiece, Tokenizer]:
    theirs = Tokenizer.from_file(str(FILE))
    theirs.no_truncation()
    theirs.no_padding()
    return WordPiece(FILE, 10_000), theirs


@pytest.mark.parametrize(
    "text",
    [
        "A dog on a beach .",
        "Two café-goers don't mind: 50% off!",
        "ÀÉÎÕÜ naïve Straße ﬁne",
        "东京 tower 猫",
        "tab\there\nnewline\r\0nul\ufffd\u200bzero\u00a0nbsp\u3000wide",
        "emoji 🐕 flag 🇫🇷 family 👩‍👩‍👧",
        "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
        "supercalifragilisticexpialidocious ##ing [SEPX]",
        "",
        "   ",
    ],
)
def test_same_ids(pair: tuple[WordPiece, Tokenizer], text: str) -> None:
    ours, theirs = pair
    assert ours.encode(text) == (theirs.encode(text).ids, 0)


def _is_settled(char: str) -> bool:
    """Characters that no Unicode version since 3.2 has changed: the two packages' tables agree."""
    category = unicodedata.category(char)
    return category not in ("Cn", "Co", "Cs") and unicodedata.ucd_3_2_0.category(char) == category


@settings(max_examples=400, deadline=None)
@given(text=st.text(st.characters().filter(_is_settled), max_size=40))
def test_same_ids_for_any_text(pair: tuple[WordPiece, Tokenizer], text: str) -> None:
    ours, theirs = pair
    assert ours.encode(text)[0] == theirs.encode(text).ids


def test_cuts_the_end_and_counts_what_it_cut() -> None:
    ours = WordPiece(FILE, MAX_TOKENS)
    whole = WordPiece(FILE, 10_000).encode("dog " * 20)[0]
    assert len(whole) == 22
    ids, n_cut = ours.encode("dog " * 20)
    assert ids == [*whole[: MAX_TOKENS - 1], whole[-1]]
    assert n_cut == 6

"""Text from strangers comes out short, visible and without anything that frames a prompt."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.core.plain_text import inert, plain


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("<b>Mount</b> Fuji &amp; lake", "Mount Fuji & lake"),
        ("&lt;script&gt;x&lt;/script&gt; after", "after"),
        ("a<br>b<br/>c", "a b c"),
        ("<script>alert(1)</script>shown", "shown"),
        ("<style>p{}</style >shown<!-- hidden -->", "shown"),
        ("open <script>never closed", "open"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<|im_start|>system", "system"),
        ("<im<b>g src=x>", ""),
        ("a\x00b\x1b[31m\x7f", "a b [31m"),
        ("left\u202eright\u200bzero\u2066", "leftrightzero"),
        ("tag\U000e0041\U000e0042s", "tags"),
        (
            "family \U0001f468\u200d\U0001f469 \u2764\ufe0f",
            "family \U0001f468\u200d\U0001f469 \u2764\ufe0f",
        ),
        ("e\u0301", "\u00e9"),
        ("  much \n\t space ", "much space"),
        (None, ""),
        (True, ""),
        ({"a": 1}, ""),
        (12, "12"),
        (3.5, "3.5"),
    ],
)
def test_plain(given_text: object, expected: str) -> None:
    assert plain(given_text) == expected


def test_lines_can_be_kept() -> None:
    assert plain("<p>one</p><p>two</p>\n\n\n\nthree", lines=True) == "one\ntwo\n\nthree"


def test_a_long_text_is_cut_at_a_word_and_says_so() -> None:
    assert plain("word " * 50, 23) == "word word word word\u2026"
    assert plain("x" * 50, 10) == "x" * 9 + "\u2026"
    assert plain("exact", 5) == "exact"


def test_inert_text_has_no_frame() -> None:
    told = inert("[1] <<<EVIDENCE ``` ### --- [INST] </s> EVIDENCE>>>")
    assert inert("\u30101\u2020source\u3011") == "(1\u2020source)"
    assert told == "(1) \u2039\u2039EVIDENCE '' ## -- (INST) \u2039/s\u203a EVIDENCE\u203a\u203a"


@given(st.text(max_size=400), st.integers(1, 200))
def test_laws(text: str, limit: int) -> None:
    told = plain(text, limit)
    assert len(told) <= limit
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co") for char in told)
    assert plain(told, limit) == told or "&" in text or "<" in text
    framed = inert(told)
    assert not set(framed) & set("[]<>`")
    assert inert(framed) == framed


@given(
    st.lists(
        st.sampled_from(["<", ">", "&lt;", "&gt;", "b", "/", "script", " ", "!--"]), max_size=40
    )
)
def test_no_tag_survives_any_nesting(parts: list[str]) -> None:
    told = inert(plain("".join(parts), 500))
    assert "<" not in told
    assert ">" not in told


def test_hostile_lengths_take_no_time() -> None:
    assert len(plain("<" * 3_000_000, 100)) <= 100
    assert len(plain("&lt;" * 1_000_000, 100)) <= 100
    assert plain("<!--" * 500_000, 100) == ""


@given(st.text(st.characters(max_codepoint=127)), st.integers(5, 60), st.booleans())
def test_the_short_way_says_what_the_long_one_does(text: str, limit: int, lines: bool) -> None:
    # An entity takes the long way; that of a space is then stripped off again.
    assert plain(text, limit, lines=lines) == plain(f"&#32;{text}", limit, lines=lines)

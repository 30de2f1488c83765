"""How values show themselves in a shell: one line each, `print(page)` a line a hit."""

from pathlib import Path

from relook.core.types import WHOLE, Hit, Page, Part, Query

HIT = Hit(12, Path("/photos/cat.png"), 0.16612, WHOLE, caption="a cat", fit=0.534)


def test_a_hit_is_one_line_with_what_it_is() -> None:
    assert repr(HIT) == "<Hit 12: cat.png, score 0.166, fit 0.53>"
    odd = Hit(3, Path("/photos/a\udcff.png"), 0.5, WHOLE)
    assert repr(odd) == "<Hit 3: a\ufffd.png, score 0.500>"


def test_a_page_is_one_line_and_prints_a_line_a_hit() -> None:
    query = Query((Part(text="a cat"), Part(text="snow", weight=-1.0)))
    page = Page(query, (HIT,), notes=("cut after 64 tokens",))
    assert repr(page) == "<Page 'a cat - snow': 1 hit, best cat.png>"
    assert str(page).splitlines() == [
        "1 image for a cat - snow", "  1   0.166  cat.png  a cat", "note: cut after 64 tokens"
    ]  # fmt: skip
    assert repr(Page(query, ())) == "<Page 'a cat - snow': 0 hits>"


def test_hits_can_be_kept_in_sets_whatever_their_metadata() -> None:
    assert len({HIT, HIT}) == 1

"""Citations: every form becomes [n], and what was not shown is taken out and told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.rag.answer_text import cite, hedge_of

KNOWN = {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("text", "clean", "numbers", "invented"),
    [
        ("Bulgaria [1].", "Bulgaria [1].", (1,), ()),
        ("Bulgaria [2, 1] and [2]", "Bulgaria [2][1] and [2]", (2, 1), ()),
        ("So [1-3].", "So [1][2][3].", (1, 2, 3), ()),
        ("So [1-99999999].", "So [1].", (1,), (99999999,)),
        ("In [2019], [3/2019].", "In [2019], [3/2019].", (), ()),
        ("So [1\u20133; 5 and 4].", "So [1][2][3][5][4].", (1, 2, 3, 5, 4), ()),
        ("Yes [9]. No [1, 9].", "Yes. No [1].", (1,), (9,)),
        ("Yes [evidence 2] [#3] [^4] \u30105\u2020source\u3011",
         "Yes [2] [3] [4] [5]", (2, 3, 4, 5), ()),
        ("See [1](https://evil.example/?q=secret).", "See [1].", (1,), ()),
        ("See [9](https://evil.example/).", "See.", (), (9,)),
        ("Built [2019] by [someone]", "Built [2019] by [someone]", (), ()),
        ("[0] is none", "is none", (), (0,)),
        ("Range [1-99]", "Range [1]", (1,), (99,)),
        ("So [sources 1, 2 and 9], [1 to 3].", "So [1][2], [1][2][3].", (1, 2, 3), (9,)),
        ("[Evidence 1, Evidence 8] [ref. 2]", "[1] [ref. 2]", (1,), (8,)),
        ("\uff3b\uff11\u3001\uff19\uff3d \u30142\u3015 [\u8bc1\u636e3] [1\u20143]",
         "[1] [2] [3] [1][2][3]", (1, 2, 3), (9,)),
        ("On [Apollo 11], [figure 2], [1, 2, x]", "On [Apollo 11], [figure 2], [1, 2, x]", (), ()),
        ("", "", (), ()),
    ],
)  # fmt: skip
def test_citations(text: str, clean: str, numbers: tuple[int], invented: tuple[int]) -> None:
    found = cite(text, KNOWN)
    assert (found.text, found.numbers, found.invented) == (clean, numbers, invented)


@given(st.text(alphabet="ab [](),-#1234567890\n", max_size=60), st.sets(st.integers(1, 20)))
def test_a_clean_text_cites_only_what_was_shown(text: str, known: set[int]) -> None:
    found = cite(text, known)
    assert set(found.numbers) <= known
    assert not set(found.invented) & known
    left = {int(number) for number in re.findall(r"\[(\d{1,3})\]", found.text)}
    assert left <= known
    assert cite(found.text, known).text == found.text


@pytest.mark.parametrize(
    ("text", "hedge"),
    [
        ("I'm sorry, I can't help with that.", "sorry"),
        ("It appears to be a mallard.", "appears to be"),
        ("I don\u2019t know.", "don't know"),
        ("", "no answer"),
        ("The Rila Monastery, in Bulgaria.", ""),
        ("A mayor may beat him.", ""),
    ],
)
def test_hedges(text: str, hedge: str) -> None:
    assert hedge_of(text) == hedge

"""Numbers and their nouns, and that nothing counts by hand."""

import re
from pathlib import Path

import pytest

import relook
from relook.core.errors import counted

# A count and what it counts: several, whatever the number is.
BY_HAND = re.compile(
    r"\{(?:n_\w+|len\([^{}]*\)|[\w.]+\.n_\w+)(?::,)?\} (?:\w+ )?"
    r"(?:pictures|images|judgements|boxes|marks|rows|files|examples|sessions|concepts|albums)\b"
)
MANY = ("at once", "captions of", "all of", "rows of {self.dim}")
"""In lines with these a number is never one, or an error tells of a damaged file."""


@pytest.mark.parametrize(
    ("n", "words", "text"),
    [
        (0, ("picture",), "0 pictures"), (1, ("picture",), "1 picture"),
        (1234, ("picture",), "1,234 pictures"), (1, ("match is", "matches are"), "1 match is"),
        (2, ("match is", "matches are"), "2 matches are"),
    ],
)  # fmt: skip
def test_a_number_and_its_noun(n: int, words: tuple[str, ...], text: str) -> None:
    assert counted(n, *words) == text


def test_no_sentence_counts_by_hand() -> None:
    folder = Path(relook.__file__).parent
    found = [
        f"{file.relative_to(folder)}: {match[0]}"
        for file in sorted(folder.rglob("*.py"))
        if file.parent.name not in ("testing", "bench", "learning")
        for line in file.read_text("utf-8").splitlines()
        if (match := BY_HAND.search(line)) and not any(text in line for text in MANY)
    ]
    assert found == []

"""Spelling mistakes as fingers make them, for training and for measuring."""

import re

import numpy as np

NEIGHBOURS = {
    "a": "qs", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa",
    "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu",
    "z": "x",
}  # fmt: skip
"""Letters beside each other on an English keyboard."""
SHORTEST = 4
"""Words of fewer letters stay as they are."""


def _mistake(word: str, rng: np.random.Generator) -> str:
    """A lower-case word with one letter dropped, doubled, swapped or hit beside its key.

    Never its first letter, which people seldom get wrong.
    """
    at = int(rng.integers(1, len(word) - 1))
    letter, after = word[at], word[at + 1]
    kind = int(rng.integers(4))
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + letter + word[at:]
    if kind == 2:
        return word[:at] + after + letter + word[at + 2 :]
    return word[:at] + rng.choice(list(NEIGHBOURS[letter])) + word[at + 1 :]


def misspelt(text: str, rng: np.random.Generator) -> str:
    """A name with one mistake in its longest word; as it is where that word is too short."""
    longest = max(re.findall(r"[a-z]+", text.lower()), key=len, default="")
    if len(longest) < SHORTEST:
        return text
    return text.lower().replace(longest, _mistake(longest, rng), 1)


def misspelt_anywhere(text: str, rng: np.random.Generator) -> str:
    """A text with one mistake in any of its words of `SHORTEST` letters or more."""
    text = text.lower()
    words = [m for m in re.finditer(r"[a-z]+", text) if len(m.group()) >= SHORTEST]
    if not words:
        return text
    word = words[int(rng.integers(len(words)))]
    return text[: word.start()] + _mistake(word.group(), rng) + text[word.end() :]

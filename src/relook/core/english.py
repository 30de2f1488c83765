"""Whether some words are English, as far as their script and small words show it. Layer: core."""

import re
import unicodedata
from collections.abc import Sequence

SMALL_WORDS = frozenset(
    (
        "a", "an", "the", "of", "with", "and", "or", "in", "on", "at", "by", "for", "to", "from",
        "near", "its", "his", "her", "is", "are",
    )
)  # fmt: skip
"""English words that say little by themselves."""
# Frequent small words of other languages; none that is a word, a name or an abbreviation in
# English ("van", "met", "con", "los", "un", "mit", "les", "sur").
_FOREIGN = frozenset(
    (
        "der", "das", "und", "ein", "eine", "einer", "einem", "auf", "zwei", "zum", "zur", "vom",
        "beim", "une", "dans", "avec", "aux", "una", "gli", "sul", "della", "sulla", "nella",
        "degli", "het", "een", "uma", "por", "pela", "och", "ett",
    )
)  # fmt: skip
# Further ones, each a word or a name in English as well: two of them are no chance.
_PERHAPS_FOREIGN = _FOREIGN | frozenset(
    (
        "un", "unos", "unas", "el", "la", "los", "las", "del", "y", "con", "sobre", "en", "para",
        "bajo", "junto", "al", "le", "les", "des", "du", "sur", "sous", "et", "chez", "il", "lo",
        "uno", "nel", "sulle", "di", "che", "um", "os", "da", "dos", "na", "nas", "com", "em",
        "sob", "op", "naast", "voor", "bij", "aan", "dem", "den", "mit", "im", "am", "unter",
        "neben", "z", "ze", "przy", "pod", "nad", "obok", "bredvid", "vid", "med", "p\u00e5", "av",
        "bir", "ve", "ile", "og", "ved",
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def is_foreign(words: Sequence[str]) -> bool:
    """Whether words are surely not English: most letters are of another script, or more small
    words of another language are among them than English ones.

    A short phrase in a Latin script without such a word passes.

    Args:
        words: In lower case.
    """
    letters = [char for word in words for char in word if char.isalpha()]
    latin = sum("LATIN" in unicodedata.name(char, "") for char in letters)
    if 2 * latin < len(letters):
        return True
    n_foreign = sum(word in _FOREIGN for word in words)
    return n_foreign > 0 and n_foreign > sum(word in SMALL_WORDS for word in words)


def may_be_foreign(words: Sequence[str]) -> bool:
    """Whether words are likely not English: enough for a note, too little to act on.

    Beside what `is_foreign` is sure of: two small words of other languages, or one and a letter
    with an accent, and no English small word. A single word in a Latin script passes.

    Args:
        words: In lower case.
    """
    if is_foreign(words):
        return True
    small = [word for word in words if word in _PERHAPS_FOREIGN]
    if not small or any(word in SMALL_WORDS for word in words):
        return False
    return len(small) > 1 or any(not word.isascii() for word in words if word not in small)

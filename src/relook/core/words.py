"""Words of a text: whether they are English, and how they are compared with others. Layer: core.

Of English, script and small words tell. Words that stand in pictures and words that are asked for
become tokens: compatible forms and letters with accents are plain small letters, runs
of letters and of digits part where they meet ("INVOICE2021"), and of scripts without blanks every
character is a token, so that any part of a longer word is found as tokens that follow each other.
"""

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
_PLAIN_MARKS = 0x0700  # scripts before it (Latin to Arabic) are searched without their marks
_TOKENS = re.compile(
    r"[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    r"\U00020000-\U0003ffff\u0e00-\u0e7f]|\d+|[^\W\d_\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0e7f]+"
)
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
    a about above after again all also am an and any are as at be because been before being
    below between both but by can did do does doing down during each few for from further had
    has have having he her here hers him his how i if in into is it its itself just me more most
    my near next no nor not now of off on once only onto or other our out over own same she so
    some such than that the their them then there these they this those through to too toward
    under until up upon us very was we were what when where which while who whom why will with
    within without you your image images photo photograph photos picture pictures der die das
    den dem des ein eine einer und oder ist im am auf mit von zu le la les un une des et ou est
    dans sur avec de du el los las y en con por para il lo gli e di da che
    """,
    )
)
_SHORTEST = 3
AT_LARGE = "pictures"
"""What is looked for where all but what is left out should be found."""


def all_others(unwanted: Sequence[str]) -> str:
    """What to type for all but what is left out, behind a hint."""
    return f"; for all others type: {' - '.join((AT_LARGE, *unwanted))}"


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


def tokens(text: str) -> list[str]:
    """The tokens of some words, in order; [] where nothing is a letter or a digit."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept, base = [], "\0"
    for character in decomposed:
        if not unicodedata.combining(character):
            base = character
        elif ord(base) < _PLAIN_MARKS:
            continue
        kept.append(character)
    return _TOKENS.findall(unicodedata.normalize("NFC", "".join(kept)))


def telling_words(text: str) -> list[list[str]]:
    """The tokens of each word that says something by itself: no small words, nothing short."""
    telling = []
    for word in text.split():
        parts = tokens(word)
        whole = "".join(parts)
        is_long = len(whole) >= _SHORTEST or (whole.isdigit() and len(whole) > 1)
        if parts and whole not in _STOP and (is_long or not whole.isascii()):
            telling.append(parts)
    return [list(word) for word in dict.fromkeys(map(tuple, telling))]

"""How words that stand in pictures are compared with words that are asked for. Layer: core.

Both sides become tokens: compatible forms and letters with accents are plain small letters, runs
of letters and of digits part where they meet ("INVOICE2021"), and of scripts without blanks every
character is a token, so that any part of a longer word is found as tokens that follow each other.
"""

import re
import unicodedata

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

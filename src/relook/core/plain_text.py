"""Text from strangers, made harmless. Layer: core.

Titles, captions and pages come from anybody. `plain` takes the HTML and the invisible
characters out; `inert` also takes away what could be mistaken for the frame of a prompt.
Neither makes a sentence true or well-meant: what shows it to a model must say that it is data.
"""

import html
import re
import unicodedata

_HIDDEN_BLOCK = re.compile(r"<(script|style|template|noscript)\b.*?(</\1\s*>|\Z)", re.I | re.S)
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.S)
# A tag starts with a letter, / or !; `<|...|>` is how chat templates mark turns.
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]{0,2000}>|<\|[^<>|]{0,100}\|>")
_BREAK = re.compile(r"<(br|/p|/div|/li|/h[1-6]|/tr)\b[^<>]{0,200}>", re.I)
_RUNS = re.compile(r"([`'\"<>=#~*_|{}\-])\1{2,}")
_JOINERS = "\u200c\u200d"  # zero width, but letters of several scripts and emoji need them
_MAX_CHARS = 2_000_000
_CONTROLS = {code: " " for code in (*range(32), 127) if code != ord("\n")}
_INERT = str.maketrans(
    {
        "[": "(",
        "]": ")",
        "\u3010": "(",
        "\u3011": ")",  # some models cite with these
        "\u3014": "(",
        "\u3015": ")",
        "\uff3b": "(",
        "\uff3d": ")",
        "<": "\u2039",
        ">": "\u203a",
        "`": "'",
    }
)


def plain(text: object, limit: int = 300, *, lines: bool = False) -> str:
    """Text without HTML, entities, control or invisible characters, and not too long.

    Args:
        text: What a service sent; anything that is no text or number counts as empty.
        limit: At most so many characters; a cut is marked with an ellipsis.
        lines: Whether line breaks are kept; otherwise all white space becomes single spaces.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return ""
    clean = str(text)[: min(limit * 50 + 10_000, _MAX_CHARS)]
    if clean.isascii() and clean.isprintable() and "<" not in clean and "&" not in clean:
        return _cut(" ".join(clean.split()), limit)  # nothing to take out, as in most text
    for _ in range(3):  # entities may hide tags, and tags other tags
        before = clean
        clean = _without_tags(clean)
        clean = html.unescape(clean)
        if clean == before:
            break
    clean = _without_tags(clean)
    if clean.isascii():  # most text is, and this is ten times faster
        return _cut(_spaced(clean.translate(_CONTROLS), lines), limit)
    clean = unicodedata.normalize("NFC", "".join(map(_visible, clean)))
    return _cut(_spaced(clean, lines), limit)


def whole_characters(text: str) -> str:
    """The text; half a character, which JSON and file names can spell, becomes U+FFFD.

    The two halves of one that came in two pieces become that character.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def inert(text: str) -> str:
    """The same text without anything that frames a prompt: fences, tags, bracketed numbers.

    Square brackets become round ones, so that nothing in evidence looks like a citation or a
    chat template's mark; runs of three or more of a fence's characters become two.
    """
    return _RUNS.sub(r"\1\1", text).translate(_INERT)


def _without_tags(text: str) -> str:
    if "<" not in text:
        return text
    text = _COMMENT.sub(" ", _HIDDEN_BLOCK.sub(" ", text))
    return _TAG.sub("", _BREAK.sub("\n", text))


def _visible(char: str) -> str:
    if char.isascii():
        return char if char >= " " and char != "\x7f" else _as_space(char)
    kind = unicodedata.category(char)
    if kind in ("Zl", "Zp"):
        return "\n"
    if kind in ("Cc", "Cs", "Co"):
        return _as_space(char)
    if kind == "Cf":
        return char if char in _JOINERS else ""
    # Variation selectors can carry hidden bytes; the one that makes emoji stays.
    hides = "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef"
    return "" if hides else char


def _as_space(char: str) -> str:
    return "\n" if char == "\n" else " "


def _spaced(text: str, lines: bool) -> str:
    if not lines:
        return " ".join(text.split())
    rows = (" ".join(row.split()) for row in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = text[: max(limit - 1, 0)]
    space = max(kept.rfind(" "), kept.rfind("\n"))
    if space > limit * 2 // 3:
        kept = kept[:space]
    return kept.rstrip(" ,;:.") + "\u2026"

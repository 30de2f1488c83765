"""The one-line query language, and words that look mistyped. Layer: search.

dog on a beach                     words
dog + snow - people                parts, added and taken away (spaces around + and -)
dog -people -"red cars"            a minus at a word, or at a quote, takes away just that
dog + 0.5:snow                     a weight before a part
image:pool.jpg + at night          a picture file, with words
image:pool.jpg@0.1,0.2,0.6,0.9     a region of it
id:42                              an image of the library
@our old van + snow - night        a concept: what a session learnt, under its name
dog@0,0,0.5,1 + car@0.5,0,1,1      words that must be shown at a place: left, top, right, bottom
text:"invoice 2021" -text:copy     words that stand in the picture, and words that do not

Dashes that phones and word processors put in the place of a minus count as one. Encoders take a
mistyped word for some other one. Nothing here changes words silently: what to type instead is told.
"""

import json
import os
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from relook import captioners
from relook.core.errors import InputError, QueryError, RelookError, is_no
from relook.core.picture_paths import given_path
from relook.core.types import Box, Part, Query
from relook.encoders.wordpiece import SHIPPED, read_vocabulary
from relook.library.concept_values import concept_name

_SPLIT = re.compile(r"(?:^|\s+)([+-])(?=\s|$)")
_STICKING = re.compile(r'(?:^|(?<=\s))-(?:"([^"]+)"|([^\s\d"-]\S*))')
# What keyboards make of a minus: dashes between blanks, and a sign at a word. What stands in
# quotes, and names of files, stay as they are.
_DASH = re.compile(
    r'(?:^|(?<=\s))(?:([-+]?(?:text:)?(?:"[^"]*"|[“„][^”“]*[”“])|(?:[\d.]+:\s*)?image:'
    r"(?:(?!\s[+-](?:\s|$)).)*)|[\u2012-\u2015\u2212\uff0d](?=\s|$)|[\u2212\uff0d](?=[^\s\d-]))",
    re.IGNORECASE | re.DOTALL,
)
# A number, a colon, and no digit: `2:dog` is a weight, `16:9 monitor` is words.
_WEIGHT = re.compile(r"^(\d+(?:\.\d+)?|\.\d+):\s*(?=[^\s\d])")
_FILE = re.compile(r"\s*([\d.]+:\s*)?image:")
_REGION = re.compile(r"@([\d.]+,[\d.]+,[\d.]+,[\d.]+)$")
_PLACE = re.compile(r"\s*@(-?[\d.]+(?:,-?[\d.]+){3})$")
# Words that stand in the picture, in quotes of any shape, or one word.
_WRITTEN = re.compile(
    r'(?:^|(?<=\s))(?:([+-])\s*)?text:(?:"([^"]*)"|[“„]([^”“]*)[”“]|(["“„].*)|(\S*))', re.I
)


def parse_query(text: str, grammar: bool = True) -> Query:
    """Reads a query written in one line.

    Args:
        text: See the module's description.
        grammar: Whether it is in that language; otherwise all of it is words, as they stand.

    Raises:
        QueryError: `empty_query`, `bad_part`, `only_negative`.
        InputError: `bad_box`.
    """
    if not text.strip():
        raise QueryError("empty_query", "the query is empty", "type what to look for")
    if not grammar:
        return Query((Part(text=text, literal=True),))
    text, written = _without_written(_DASH.sub(lambda match: match[1] or "-", text))
    if written and not text.strip():
        return Query(written)
    pieces = _SPLIT.split(text.strip())
    signs = ["+", *pieces[1::2]]
    parts, unwanted = [], []
    for number, (sign, whole) in enumerate(zip(signs, pieces[0::2], strict=True)):
        piece, words = _without_sticking(whole)
        unwanted += words
        if not piece.strip():
            if number == 0 or words:
                continue  # the line begins with a sign
            raise QueryError(
                "bad_part",
                f"nothing stands after {sign!r} in {text!r}",
                "write words or image:FILE there, or leave the sign out",
            )
        parts.append(_part(piece.strip(), 1.0 if sign == "+" else -1.0))
    return Query((*parts, *(_part(words, -1.0) for words in unwanted), *written))


def _without_written(text: str) -> tuple[str, tuple[Part, ...]]:
    """A line without the words that must stand in the picture, and those."""
    parts = []
    for sign, straight, curly, unclosed, word in _WRITTEN.findall(text):
        if unclosed:
            raise QueryError(
                "bad_part", f"a quote is not closed: text:{unclosed}", 'as in text:"invoice 2021"'
            )
        words = " ".join((straight or curly or word).split())
        parts.append(Part(written=words, weight=-1.0 if sign == "-" else 1.0))
    return (_WRITTEN.sub("", text), tuple(parts)) if parts else (text, ())


def name_for_queries(text: str) -> str:
    """The name of a new concept as it is kept; one that a query can hold.

    Raises:
        InputError: `bad_name`.
    """
    name = concept_name(text)
    beside = Part(text="snow")
    try:
        parts = parse_query(f"{beside.text} + @{name} + {beside.text}").parts
    except RelookError:
        parts = ()
    if parts != (beside, Part(concept=name), beside):
        raise InputError(
            "bad_name",
            f"a query would not read @{name[:80]} as one name",
            "leave out what has a meaning there: -word, text:, a place, + and - between blanks",
        )
    return name


def line_of(query: Query) -> str:
    """A query in the one-line language."""
    pieces = []
    for number, part in enumerate(query.parts):
        sign = "- " if part.weight < 0 else "+ " if number else ""
        size = abs(part.weight)
        pieces.append(f"{sign}{'' if size == 1 else f'{size:g}:'}{_named(part)}")
    return " ".join(pieces)


def _named(part: Part) -> str:
    """What a part is, as the one-line language has it."""
    if part.written is not None:
        return 'text:"' + " ".join(part.written.replace('"', " ").split()) + '"'
    if part.has_name:
        return part.called if part.place is None else f"{part.called}@{_edges(part.place)}"
    name = f"id:{part.image_id}" if part.image is None else f"image:{part.image}"
    return name if part.box is None else f"{name}@{_edges(part.box)}"


def _edges(box: Box) -> str:
    return ",".join(f"{edge:.9g}" for edge in box.as_list())


def _without_sticking(piece: str) -> tuple[str, list[str]]:
    """A piece without the words that a minus sticks to, and those; names of files stay whole."""
    if _FILE.match(piece):
        return piece, []
    return _STICKING.sub("", piece), [quoted or word for quoted, word in _STICKING.findall(piece)]


def _part(piece: str, sign: float) -> Part:
    weight = sign
    if match := _WEIGHT.match(piece):
        weight = sign * float(match[1])
        piece = piece[match.end() :]
    if piece.startswith("image:"):
        return _picture(piece.removeprefix("image:"), weight)
    if re.fullmatch(r"id:\d{1,18}(@.*)?", piece):
        name, _, region = piece.removeprefix("id:").partition("@")
        return Part(image_id=int(name), box=Box.parse(region) if region else None, weight=weight)
    place = None
    if match := _PLACE.search(piece):
        place, piece = Box.parse(match[1]), piece[: match.start()]
    if piece.startswith("@"):
        name = " ".join(piece.removeprefix("@").split())
        return Part(concept=name, weight=weight, place=place)
    return Part(text=" ".join(piece.split()), weight=weight, place=place)


# What looks like a part of the language and is none, with what it should be.
_NEARLY = (
    (
        re.compile(
            r"[-+]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?):(?=[^\s\d])", re.I
        ),
        "a weight is a number above 0, as in 0.5:snow; a minus with blanks leaves out",
    ),
    (re.compile(r"id:\S+$", re.I), "an image of the library is id: and its number, as in id:42"),
    (
        re.compile(r".*@\s*[-+\w.]+(?:,\s*[-+\w.]+){2,}$", re.I | re.S),
        "a place is four numbers: left, top, right, bottom, as in dog@0,0,0.5,1",
    ),
)


def nearly_read(text: str) -> str:
    """What some words should be to mean what they look like: a weight, an id, a place; or empty."""
    return next((what for looks, what in _NEARLY if looks.match(text)), "")


def _picture(name: str, weight: float) -> Part:
    if not name:
        raise QueryError("bad_part", "image: names no file", "write image:FILE")
    match = _REGION.search(name)
    if match and not os.path.lexists(name):
        box = Box.parse(match[1])
        return Part(image=_file(name[: match.start()]), box=box, weight=weight)
    return Part(image=_file(name), weight=weight)


def _file(name: str | os.PathLike[str]) -> Path:
    # Path.expanduser raises for a user that is not there; the file's own error is clearer.
    return Path(given_path(name))


def whole_query(
    query: str | Query,
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    without: str | Sequence[str],
    grammar: bool = True,
) -> Query:
    """One query of all that was asked for; one picture or one text need no list.

    Args:
        query: Words in the one-line language, or a query; may be empty when `images` are given.
        images: Picture files to look like.
        without: Words for what should not be shown.
        grammar: As for `parse_query`.

    Raises:
        QueryError: when that makes no query. InputError: `bad_path` for an empty one.
    """
    if isinstance(images, str | os.PathLike) or not isinstance(images, Iterable):
        images = [images]
    if isinstance(without, str) or not isinstance(without, Iterable):
        without = [without]
    if isinstance(query, Query):
        parts = query.parts
    elif not isinstance(query, str):
        raise QueryError("bad_query", is_no(query, "query"), "give words, or a Query")
    elif query.strip() or not images:
        parts = parse_query(query, grammar).parts
    else:
        parts = ()
    pictures = tuple(Part(image=_file(image)) for image in images)
    unwanted = tuple(Part(text=words, weight=-1.0) for words in without)
    return Query((*parts, *pictures, *unwanted))


def unquoted(words: str) -> str:
    """Words without double quotes; the same where nothing else is there."""
    return " ".join(words.replace('"', " ").split()) or words


_SOUNDS = (("f", "ph"), ("ph", "f"), ("k", "c"), ("c", "k"), ("y", "i"), ("i", "y"), ("z", "s"))
_SHORTEST, _TWICE = 4, 7  # letters of a word that may be mistyped, and be so in two places
_SURE = 5  # letters of a word of which it can be sure which was meant


def suggestion(
    text: str, known: Callable[[], Collection[str]], *, is_sure: bool = False
) -> str | None:
    """The words with mistyped ones put right; None when each word is known or nothing is near.

    Args:
        text: Words; those in double quotes are taken as they are.
        known: Gives further words that are right, as those of the library; asked when needed.
        is_sure: Whether only words of five letters or more are put right, to which one word
            that describes pictures is nearer than any other.
    """
    changed = False
    pieces = re.split(r"([A-Za-z]+)", text)
    for at in range(1, len(pieces), 2):
        word = pieces[at]
        if not (word.islower() or word.istitle()) or _touches_more(pieces, at):
            continue
        if "".join(pieces[:at]).count('"') % 2:
            continue
        better = _better(word.lower(), known, is_sure)
        if better:
            pieces[at], changed = better, True
    return "".join(pieces) if changed else None


def _touches_more(pieces: list[str], at: int) -> bool:
    """Whether the letters are part of something else: a number, an accent, an address."""
    before, after = pieces[at - 1][-1:], pieces[at + 1][:1]
    odd = string.whitespace + string.punctuation.replace("@", "").replace("_", "")
    return bool(before and before not in odd) or bool(after and after not in odd)


def _better(word: str, more: Callable[[], Collection[str]], is_sure: bool) -> str | None:
    usual, seen = _vocabulary()
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    if len(word) < (_SURE if is_sure else _SHORTEST) or any(
        form in usual or form in seen for form in forms
    ):
        return None
    known = more()
    if any(form in known for form in forms):
        return None
    for near in _edits_in_turn(word):
        right = [
            candidate
            for candidate in near
            if candidate in seen or candidate in known or candidate in usual
        ]
        if right and is_sure:
            described = [
                candidate for candidate in right if candidate in seen or candidate in known
            ]
            return described[0] if len(described) == 1 else None
        if right:
            return min(
                right, key=lambda word: (word not in seen, usual.get(word, len(usual)), word)
            )
    return None


def _edits_in_turn(word: str) -> Iterator[set[str]]:
    """Words that sound alike, words one step away, and for long ones words of pictures two away."""
    yield {
        word[:at] + sound + word[at + len(written) :]
        for written, sound in _SOUNDS
        for at in range(len(word))
        if word.startswith(written, at)
    }
    once = _edits(word)
    yield once
    if len(word) >= _TWICE:
        _, seen = _vocabulary()
        alike = (
            candidate
            for candidate in seen
            if candidate[0] == word[0] and abs(len(candidate) - len(word)) <= 2
        )
        yield {candidate for candidate in alike if not once.isdisjoint(_edits(candidate))}


def _edits(word: str) -> set[str]:
    """All words one letter away: left out, swapped, replaced, put in.

    Source: Damerau, "A technique for computer detection and correction of spelling errors" (1964).
    """
    halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    out = {head + tail[1:] for head, tail in halves if tail}
    out |= {head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1}
    for letter in string.ascii_lowercase:
        out |= {head + letter + tail[1:] for head, tail in halves if tail}
        out |= {head + letter + tail for head, tail in halves}
    return out


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[dict[str, int], frozenset[str]]:
    """The tokenizer's whole words, with their place (the usual first), and words of pictures."""
    tokens = read_vocabulary(SHIPPED)
    usual = {token: at for token, at in tokens.items() if len(token) > 2 and token.isalpha()}
    bank = Path(captioners.__file__).with_name("phrase_bank") / "phrases.json"
    phrases: list[str] = json.loads(bank.read_text("utf-8"))["phrases"]
    return usual, frozenset(word for phrase in phrases for word in phrase.split())


def picture_words() -> frozenset[str]:
    """Words that captions of pictures have; read once."""
    return _vocabulary()[1]

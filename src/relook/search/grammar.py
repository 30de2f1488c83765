"""The one-line query language. Layer: search.

dog on a beach                     words
dog + snow - people                parts, added and taken away (spaces around + and -)
dog -people -"red cars"            a minus at a word, or at a quote, takes away just that
dog + 0.5:snow                     a weight before a part
image:pool.jpg + at night          a picture file, with words
image:pool.jpg@0.1,0.2,0.6,0.9     a region of it
id:42                              an image of the library
@our old van + snow - night        a concept: what a session learnt, under its name
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from relook.core.errors import QueryError
from relook.core.types import Box, Part, Query

_SPLIT = re.compile(r"(?:^|\s+)([+-])(?=\s|$)")
_STICKING = re.compile(r'(?:^|(?<=\s))-(?:"([^"]+)"|([^\s\d"-]\S*))')
# A number, a colon, and no digit: `2:dog` is a weight, `16:9 monitor` is words.
_WEIGHT = re.compile(r"^(\d+(?:\.\d+)?|\.\d+):\s*(?=[^\s\d])")
_FILE = re.compile(r"\s*([\d.]+:\s*)?image:")
_REGION = re.compile(r"@([\d.]+,[\d.]+,[\d.]+,[\d.]+)$")


def parse_query(text: str) -> Query:
    """Reads a query written in one line.

    Args:
        text: See the module's description.

    Raises:
        QueryError: `empty_query`, `bad_part`, `only_negative`.
        InputError: `bad_box`.
    """
    if not text.strip():
        raise QueryError("empty_query", "the query is empty", "type what to look for")
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
    return Query((*parts, *(_part(words, -1.0) for words in unwanted)))


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
    if piece.startswith("@"):
        return Part(concept=" ".join(piece.removeprefix("@").split()), weight=weight)
    return Part(text=" ".join(piece.split()), weight=weight)


def _picture(name: str, weight: float) -> Part:
    if not name:
        raise QueryError("bad_part", "image: names no file", "write image:FILE")
    match = _REGION.search(name)
    if match and not os.path.lexists(name):
        box = Box.parse(match[1])
        return Part(image=_file(name[: match.start()]), box=box, weight=weight)
    return Part(image=_file(name), weight=weight)


def _file(name: str) -> Path:
    # Path.expanduser raises for a user that is not there; the file's own error is clearer.
    return Path(os.path.expanduser(name))


def whole_query(
    query: str | Query, images: Sequence[str | os.PathLike[str]], without: Sequence[str]
) -> Query:
    """One query of all that was asked for.

    Args:
        query: Words in the one-line language, or a query; may be empty when `images` are given.
        images: Picture files to look like.
        without: Words for what should not be shown.

    Raises:
        QueryError: when that makes no query.
    """
    if isinstance(query, Query):
        parts = query.parts
    elif query.strip() or not images:
        parts = parse_query(query).parts
    else:
        parts = ()
    # Path.expanduser raises for a user that is not there.
    pictures = tuple(Part(image=Path(os.path.expanduser(image))) for image in images)
    unwanted = tuple(Part(text=words, weight=-1.0) for words in without)
    return Query((*parts, *pictures, *unwanted))

"""From a query's parts to one vector. Layer: search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from relook.core.errors import ImageError, QueryError, counted
from relook.core.picture_paths import printable
from relook.core.settings import ImageLimits
from relook.core.types import Part, Query
from relook.core.vectors import Floats, unit
from relook.encoders.base import Encoder, encode_images, text_features, unread_of
from relook.library.files import LibraryFiles
from relook.search.fit import fit_scale
from relook.search.grammar import nearly_read, unquoted
from relook.search.negation import finds_others, wanted_words
from relook.search.regions import crop_image
from relook.search.suggestions import put_right, spelling_weight

if TYPE_CHECKING:
    from relook.search.concept_fit import Ranker

_SHOWN, _LONGEST_SHOWN = 3, 40  # words of a note, and their characters


def query_vector(
    query: Query, encoder: Encoder, files: LibraryFiles
) -> tuple[Floats, tuple[str, ...]]:
    """The unit vector of a query: the signed, weighted sum of its parts' unit vectors.

    Words to leave out are no part of it where they act by their own fit (`Filter.unwanted`):
    the other pictures keep their order.

    Returns:
        The vector [d], and notes for the person.

    Raises:
        QueryError: `cancelled_query` when the parts cancel out.
        ImageError, NotFoundError: when a picture cannot be had.
    """
    vectors, notes = part_vectors(query, encoder, files)
    return combined(query, vectors, fit_scale(files, encoder).is_known), notes


def combined(query: Query, vectors: Floats, acts_by_fit: bool) -> Floats:
    """The unit vector [d] of a query from its parts' [p, d]; raises as `query_vector`."""
    total = part_weights(query, acts_by_fit) @ vectors  # [d]
    if float(np.linalg.norm(total)) < 1e-3:
        raise QueryError(
            "cancelled_query",
            "the parts of the query cancel each other out",
            "change a part, or its weight",
        )
    return unit(total)


def query_length(query: Query, encoder: Encoder) -> float | None:
    """How long the text tower makes a query; None for one that is not of words alone."""
    texts = [read_words(part) for part in query.parts if part.text is not None]
    if len(texts) < len(query.parts):
        return None
    weights = np.array([part.weight for part in query.parts], np.float32)
    return float(np.linalg.norm(weights @ text_features(encoder, texts)))


def part_weights(query: Query, acts_by_fit: bool) -> Floats:
    """[p] how much each part adds to the query's vector.

    Words to leave out add nothing where they act by their own fit; where that is not known,
    as in a handful of pictures and without a map, they are taken away from the vector. Words
    that must stand in the picture say which pictures may be found; they add only where nothing
    else is looked for.
    """
    return np.array([_weight(part, query, acts_by_fit) for part in query.parts], np.float32)


def _weight(part: Part, query: Query, acts_by_fit: bool) -> float:
    if part.written is not None:
        return part.weight if part.weight > 0 and query.is_written else 0.0
    return 0.0 if part.leaves_out and acts_by_fit else part.weight


def part_vectors(
    query: Query, encoder: Encoder, files: LibraryFiles
) -> tuple[Floats, tuple[str, ...]]:
    """One unit vector a part [p, d], and notes; raises as `query_vector`.

    That a mistyped word was searched for as it was meant is told by `suggestions`.
    """
    texts = [read_words(part) for part in query.parts if part.text or part.written]
    notes = [*_cut(texts, encoder), *_unread(query, encoder), *_nearly_read(query)]
    if finds_others(query) and fit_scale(files, encoder).is_known:
        notes.append(_others(query))
    meant, spelling = put_right(query, encoder, files), spelling_weight(encoder)
    read = iter(encoder.encode_texts([*texts, *meant.values()]))
    vectors = iter([next(read) for _ in texts])
    rows = []
    for at, part in enumerate(query.parts):
        if part.concept is not None:
            ranker = concept_ranker(part.concept, files, encoder)
            rows.append(ranker.vector)
            notes += ranker.notes
        else:
            is_text = part.text is not None or part.written is not None
            row = next(vectors) if is_text else _picture(part, encoder, files)
            rows.append(unit(row + spelling * next(read)) if at in meant else row)
    return np.stack(rows), tuple(notes)


def concept_ranker(name: str, files: LibraryFiles, encoder: Encoder) -> Ranker:
    """What a concept ranks by: as `relook.search.concept_fit.ranker_of`, and it raises the same."""
    from relook.search.concept_fit import ranker_of  # it needs feedback, which words do not

    return ranker_of(name, files, encoder)


def read_words(part: Part) -> str:
    """The words of a part that are encoded: without "no people", which would find people.

    Raises:
        QueryError: `only_negative` when nothing is left.
    """
    if part.literal and part.text is not None:
        return part.text
    return part.written if part.written is not None else unquoted(wanted_words(part))


def _cut(texts: list[str], encoder: Encoder) -> list[str]:
    """A note for each text that is too long."""
    return [
        f"the query is long: its last {counted(n_cut, 'token was', 'tokens were')} not read"
        for n_cut in map(encoder.n_tokens_cut, texts)
        if n_cut
    ]


def _unread(query: Query, encoder: Encoder) -> Iterator[str]:
    """A note for each part of which the encoder reads nothing, or not every word."""
    for part in query.parts:
        if part.text is None:
            continue
        text = read_words(part)
        unread = unread_of(encoder, text)
        if unread.is_all:
            what = "nothing counts as fitting" if part.weight > 0 else "it leaves nothing out"
            yield f"this library's model can read nothing of {_short(text)!r}: {what}"
        elif unread.words:
            words = ", ".join(map(_short, unread.words[:_SHOWN]))
            yield f"this library's model does not read: {words}"


def _nearly_read(query: Query) -> Iterator[str]:
    """A note for each part that looks like more than words."""
    for part in query.parts:
        if part.text is not None and not part.literal and (what := nearly_read(part.text)):
            yield f"{_short(part.text)!r} was searched for as words: {what}"


def _others(query: Query) -> str:
    """What a query finds that looks for nothing, in a sentence."""
    written = [f"text:{words}" for words in query.not_written]
    unwanted = " and ".join(f'"{_short(words)}"' for words in (*query.unwanted, *written))
    return f'"{_short(query.text)}" names nothing to look for: all pictures but those of {unwanted}'


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _picture(part: Part, encoder: Encoder, files: LibraryFiles) -> Floats:
    if part.image is not None:
        return crop_vector(part, encoder, files.limits)
    assert part.image_id is not None
    record = files.catalog.images([part.image_id])[0]
    if part.box is None and record.n_tiles:
        whole: Floats = files.vectors.rows(np.array([record.first_row]))[0]
        return whole
    return crop_vector(Part(image=record.path, box=part.box), encoder, files.limits)


def crop_vector(part: Part, encoder: Encoder, limits: ImageLimits | None = None) -> Floats:
    """The vector [d] of a picture file or, with a box, of its crop from the original pixels.

    Raises:
        ImageError: when the file cannot be decoded.
    """
    assert part.image is not None
    try:
        image = crop_image(part.image, part.box, encoder.input_px, limits)
    except ImageError as error:
        if error.code == "vanished":
            name = printable(str(part.image))
            raise ImageError("vanished", f"there is no file {name!r}", "check its name") from error
        raise ImageError(
            error.code, f"the query's picture: {error.message}", "check the file after image:"
        ) from error
    vector: Floats = encode_images(encoder, [image])[0]
    return vector

"""From judgements to the evidence that a strategy is fitted from. Layer: search."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, Means, text_features
from relook.feedback.directions import covariance
from relook.feedback.judged import Evidence, Judged, Words
from relook.feedback.scorer import Scorer
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord
from relook.library.session_values import Judgement
from relook.search.background import background, sample
from relook.search.summariser import summariser_of

_N_COVARIANCE = 5000
_PARTING = re.compile(r",(?!\d)|(?<!\d),")  # commas, but not that of 1,000


@dataclass(frozen=True, slots=True)
class TypedWords:
    """Words that a person typed on a round's page, without a picture.

    Args:
        relevant, irrelevant: About what fits, and what does not; commas part phrases.
        round: Whose page it was.
    """

    relevant: str = ""
    irrelevant: str = ""
    round: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A strategy fitted for the next page, with what it was fitted from."""

    strategy: str
    evidence: Evidence
    scorer: Scorer
    notes: tuple[str, ...]


class OwnLengths:
    """An encoder whose text vectors are as long as its model makes them; in all else it itself."""

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """[n, d], not of length one."""
        return text_features(self.inner, texts)


def gather(
    query: Floats,
    judgements: Sequence[Judgement],
    typed: Sequence[TypedWords],
    first_page: Sequence[int],
    files: LibraryFiles,
    encoder: Encoder,
    afs: str = "",
    length: float | None = None,
) -> tuple[Evidence, tuple[str, ...]]:
    """Evidence of one round.

    Args:
        query: [d] vector of the session's first query.
        judgements: Those on the way to the round, the latest on a place only.
        typed: Words about what fits and what does not, of every page that was left on the way
            to it, whether any were typed there or not.
        first_page: Image ids that the first query showed, best first.
        files: The open library.
        encoder: Its encoder.
        afs: File of a trained summariser; the library's own when empty.
        length: Of the query as the text tower makes it, where words are to have theirs; they are
            unit vectors when None.

    Returns:
        The evidence, and notes about judgements that cannot count at present.
    """
    speaker = encoder if length is None else cast(Encoder, OwnLengths(encoder))
    records, notes = _present(judgements, files)
    judged = [
        (judgement, judged_of(judgement, records[judgement.image_id], files))
        for judgement in judgements
        if judgement.image_id in records
    ]
    notes += tuple(
        f"a box on image {judgement.image_id} has no vector, as its picture could not be read; it"
        " is kept, and does not count"
        for judgement, item in judged
        if item is None
    )
    counting = [(judgement, item) for judgement, item in judged if item is not None]
    tiles = _tiles(first_page, files)
    items = with_captions(
        [item for _, item in counting], [judgement.caption for judgement, _ in counting], speaker
    )
    evidence = replace(
        template(files, encoder),
        query=query,
        items=items,
        first_page=_wholes(tiles, files.vectors.dim),
        first_tiles=tiles,
        words=words_typed(typed, speaker),
        rounds=tuple(sorted({statement.round for statement in typed})),
        query_length=1.0 if length is None else length,
        summariser=summariser_of(files, encoder.fingerprint, afs),
    )
    return evidence, notes


def template(files: LibraryFiles, encoder: Encoder) -> Evidence:
    """Evidence with all that does not depend on a session: means, tile weight, background."""
    known: Evidence | None = files.derived.get("template")
    if known is None:
        known = files.derived["template"] = _template(files, encoder)
    return known


def _template(files: LibraryFiles, encoder: Encoder) -> Evidence:
    pictures = background(files)
    means = encoder.means
    return Evidence(
        query=np.zeros(files.vectors.dim, np.float32),
        image_mean=means.image if means else _mean(pictures[:, 0]),
        text_mean=means.text if means else None,
        phrasings=_phrasings(means, files.vectors.dim),
        tile_weight=encoder.tile_weight,
        background=pictures,
        covariance=covariance(files.vectors.rows(sample(files.row_table[:, 0], _N_COVARIANCE))),
    )


def _phrasings(means: Means | None, dim: int) -> Floats:
    known = means.phrasings if means else None
    return np.zeros((0, dim), np.float32) if known is None else known


def _present(
    judgements: Sequence[Judgement], files: LibraryFiles
) -> tuple[dict[int, ImageRecord], tuple[str, ...]]:
    """Judged images that the library still has, by id, and a note for each other one."""
    wanted = dict.fromkeys(judgement.image_id for judgement in judgements)
    records = {record.image_id: record for record in files.records(wanted)}
    absent = [image_id for image_id in wanted if image_id not in records]
    bare = {
        image.image_id
        for image in files.catalog.images(absent, missing_ok=True)
        if not image.n_tiles
    }
    notes = tuple(
        f"image {image_id} {'has no vectors' if image_id in bare else 'left the library'};"
        " its judgement is kept, and does not count"
        for image_id in absent
    )
    return records, notes


def judged_of(judgement: Judgement, record: ImageRecord, files: LibraryFiles) -> Judged | None:
    """What a judgement of an image is about; None for a box of which no vector is known."""
    sign = 1 if judgement.relevant else -1
    rows = np.arange(record.first_row, record.first_row + record.n_tiles, dtype=np.int64)
    tiles = files.vectors.rows(rows)  # [t, d]
    if judgement.box is None:
        return Judged(judgement.judgement_id, sign, tiles, judgement.weight, round=judgement.round)
    shares = [_share_inside(tile, judgement.box) for tile in files.tiling(record.tiling_id)]
    inside = np.array(shares) >= 0.5
    covered = tiles[inside][np.argsort(-np.array(shares)[inside], kind="stable")]
    if judgement.crop is not None and judgement.crop.shape == tiles.shape[1:]:
        covered = np.concatenate([judgement.crop[None], tiles[inside]])
    if not len(covered):
        return None
    return Judged(
        judgement.judgement_id,
        sign,
        covered,
        judgement.weight,
        context=tiles[~inside],
        boxed=True,
        round=judgement.round,
    )


def _share_inside(tile: Box, box: Box) -> float:
    """How much of a tile lies in a box."""
    return tile.intersection(box) / tile.area


def with_captions(
    items: Sequence[Judged], captions: Sequence[str | None], encoder: Encoder
) -> tuple[Judged, ...]:
    """Adds the text vector of every caption that says something, one for each item."""
    stripped = [caption.strip() if caption else "" for caption in captions]
    parted = [_phrases(caption) for caption in stripped]
    phrases = [parts if len(parts) > 1 else [] for parts in parted]
    texts = [caption for caption in stripped if caption]
    vectors = iter(
        encoder.encode_texts([*texts, *(phrase for parts in phrases for phrase in parts)])
    )
    spoken = [
        replace(item, caption=next(vectors)) if caption else item
        for item, caption in zip(items, stripped, strict=True)
    ]
    return tuple(
        replace(item, phrases=np.stack([next(vectors) for _ in parts])) if parts else item
        for item, parts in zip(spoken, phrases, strict=True)
    )


def words_typed(typed: Sequence[TypedWords], encoder: Encoder) -> tuple[Words, ...]:
    """Typed words with the vectors of their phrases."""
    signed = [
        (sign, text, statement.round)
        for statement in typed
        for sign, text in ((1, statement.relevant), (-1, statement.irrelevant))
        if _phrases(text)
    ]
    return tuple(
        Words(sign, text.strip(), encoder.encode_texts(_phrases(text)), number)
        for sign, text, number in signed
    )


def _phrases(text: str) -> list[str]:
    """The parts between commas, as VisualReF's client parts its text boxes."""
    return [part for phrase in _PARTING.split(text) if (part := phrase.strip())]


def _tiles(image_ids: Sequence[int], files: LibraryFiles) -> tuple[Floats, ...]:
    """[t, d] vectors of each of those images that are still there."""
    places = files.now.places(np.array(image_ids, np.int64))
    spans = files.row_table[places[places >= 0], :2]  # [k, 2]: first row, how many
    rows = [np.arange(first, first + n) for first, n in spans.tolist()]
    if not rows:
        return ()
    ends = np.cumsum(spans[:, 1])
    return tuple(np.split(files.vectors.rows(np.concatenate(rows)), ends[:-1]))


def _wholes(tiles: Sequence[Floats], dim: int) -> Floats:
    """[k, d] whole-picture vectors of images with these tiles."""
    return np.stack([own[0] for own in tiles]) if tiles else np.zeros((0, dim), np.float32)


def _mean(vectors: Floats) -> Floats | None:
    return None if not len(vectors) else np.asarray(vectors.mean(axis=0), np.float32)

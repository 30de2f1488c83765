"""What a concept ranks by, and fitting it again from what it rests on. Layer: search.

A concept holds the vectors of its examples, so it is fitted without their pictures: in another
library of the same encoder, or while they are away. When the library has another encoder, they
are made again of the pictures that can be read then; the others are kept, and count once theirs
can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.core.errors import ImageError, LibraryBusyError, NotFoundError, counted
from relook.core.types import Box
from relook.core.vectors import Floats, unit
from relook.encoders.base import Encoder
from relook.feedback.judged import Judged
from relook.feedback.strategies import STRATEGIES
from relook.library.concept_table import ConceptTable
from relook.library.concept_values import Concept, ConceptExample
from relook.library.files import LibraryFiles
from relook.library.records import ImageRecord
from relook.library.session_values import Judgement
from relook.search.feedback_evidence import (
    TypedWords,
    judged_of,
    template,
    with_captions,
    words_typed,
)
from relook.search.fit import usual_score

_RANKERS = "concepts"
_OF_A_PAGE = ("afs", "prf")  # ways that read a first page, which a concept has not


@dataclass(frozen=True, slots=True)
class Ranker:
    """What a concept ranks by in one library.

    Args:
        vector: [d] unit vector.
        usual: What its relevant examples score; None when it has none.
        unwanted: Words of its query for what must not be shown.
        notes: What of it does not count at present.
    """

    vector: Floats
    usual: float | None
    unwanted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ranker_of(named: str, files: LibraryFiles, encoder: Encoder) -> Ranker:
    """What the concept of a name ranks by; fitted again where it is not of this encoder.

    Args:
        named: Its name.
        files: The library.
        encoder: Its encoder.

    Raises:
        NotFoundError: `no_concept`; `concept_away` when nothing of it can be read.
    """
    table = ConceptTable(files.catalog)
    concept = table.get(named)
    known: dict[tuple[int, float], Ranker] = files.derived.setdefault(_RANKERS, {})
    key = (concept.concept_id, concept.changed_s)
    if key not in known:
        fresh = fitted_again(concept, files, encoder)
        if fresh is not concept and files.catalog.writable:
            fresh = _kept(table, fresh)
        known[fresh.concept_id, fresh.changed_s] = known[key] = _ranker(fresh, files, encoder)
    return known[key]


def _kept(table: ConceptTable, concept: Concept) -> Concept:
    """The concept as it is written down; another process that writes just now may be first."""
    try:
        return table.put(concept)
    except LibraryBusyError:
        return concept


def _ranker(concept: Concept, files: LibraryFiles, encoder: Encoder) -> Ranker:
    assert concept.vector is not None
    digest = files.manifest.fingerprint.digest
    n_stale = sum(example.encoder != digest for example in concept.examples)
    notes = concept.problems
    if n_stale:
        notes = (
            *notes,
            f"{n_stale} of the {counted(len(concept.examples), 'example')} of @{concept.name}"
            " cannot be read with this library's encoder at present: kept, and not counted",
        )
    unwanted = concept.query.unwanted if concept.query else ()
    relevant = [
        example.tiles
        for example in concept.examples
        if example.relevant and example.tiles is not None and example.encoder == digest
    ]
    usual = usual_score(concept.vector, relevant, encoder.tile_weight)
    return Ranker(concept.vector, usual, unwanted, notes)


def fitted_again(
    concept: Concept, files: LibraryFiles, encoder: Encoder, *, anew: bool = False
) -> Concept:
    """The concept, fitted for a library's encoder where it is not, or more of it can be read now.

    Args:
        concept: As it is kept.
        files: The library.
        encoder: Its encoder.
        anew: Fit it whatever it was fitted for, as after a change.

    Returns:
        The same object when there is nothing to do. It is not written down.

    Raises:
        NotFoundError: `concept_away` when it cannot be fitted: no words, and no picture of it
            can be read.
    """
    digest = files.manifest.fingerprint.digest
    dim = files.vectors.dim
    examples = _seen(concept.examples, files, encoder, digest)
    is_fitted = (
        concept.encoder == digest and concept.vector is not None and concept.vector.shape == (dim,)
    )
    has_more = any(a is not b for a, b in zip(examples, concept.examples, strict=True))
    if is_fitted and not has_more and not anew:
        return concept
    counting = [
        example for example in examples
        if example.encoder == digest and example.tiles is not None
        and example.tiles.shape[1:] == (dim,)
    ]  # fmt: skip
    vector = _fit(replace(concept, examples=tuple(counting)), files, encoder)
    return replace(concept, examples=tuple(examples), encoder=digest, vector=vector)


def _fit(concept: Concept, files: LibraryFiles, encoder: Encoder) -> Floats:
    """[d] by the concept's strategy, from the examples that count."""
    examples = concept.examples
    items = [
        Judged(
            at, 1 if example.relevant else -1, example.tiles,
            example.weight, boxed=example.box is not None,
        )
        for at, example in enumerate(examples) if example.tiles is not None
    ]  # fmt: skip
    typed = TypedWords(concept.relevant_words, concept.irrelevant_words)
    evidence = replace(
        template(files, encoder),
        query=_start(concept, encoder),
        items=with_captions(items, [example.caption for example in examples], encoder),
        words=words_typed([typed], encoder),
    )
    name = "auto" if concept.strategy in _OF_A_PAGE else concept.strategy
    scorer = STRATEGIES.get(name, STRATEGIES["auto"])(evidence)
    if scorer.vector is None:  # no concept is saved with such a strategy
        scorer = STRATEGIES["auto"](evidence)
    assert scorer.vector is not None
    return scorer.vector


def _start(concept: Concept, encoder: Encoder) -> Floats:
    """[d] of the words it began from; of its relevant pictures when it began from pictures."""
    if concept.query is not None:
        texts = [part.text or "" for part in concept.query.parts]
        weights = [max(part.weight, 0.0) for part in concept.query.parts]
        total = np.array(weights, np.float32) @ encoder.encode_texts(texts)
        if float(np.linalg.norm(total)) > 1e-3:
            return unit(total)
    firsts = [
        example.weight * example.tiles[0]
        for example in concept.examples
        if example.relevant and example.tiles is not None
    ]
    if firsts:
        return unit(np.sum(firsts, axis=0))
    raise NotFoundError(
        "concept_away",
        f"nothing of @{concept.name} can be read with this library's encoder: its pictures are"
        " away or not here, and it has no words",
        "plug in the disk that they are on, or import the concept where its pictures are",
    )


def _seen(
    examples: Sequence[ConceptExample], files: LibraryFiles, encoder: Encoder, digest: str
) -> list[ConceptExample]:
    """The examples, with vectors of this encoder for those whose picture can be read."""
    return [
        example if example.encoder == digest else _again(example, files, encoder, digest)
        for example in examples
    ]


def _again(
    example: ConceptExample, files: LibraryFiles, encoder: Encoder, digest: str
) -> ConceptExample:
    record = record_of(example, files)
    if record is None:
        return example
    crop = None
    if example.box is not None:
        crop = _crop(record.image_id, example.box, files, encoder)
        if crop is None:
            return example
    judgement = Judgement(
        0, 0, record.image_id, example.relevant, example.box, weight=example.weight, crop=crop
    )
    judged = judged_of(judgement, record, files)
    if judged is None:
        return example
    return replace(example, image_id=record.image_id, encoder=digest, tiles=judged.tiles)


def record_of(example: ConceptExample, files: LibraryFiles) -> ImageRecord | None:
    """The image of the library that an example is; None for one that has no vectors here."""
    twins = files.catalog.images_with(example.content)
    records = files.records([record.image_id for record in twins if record.n_tiles])
    own = [record for record in records if record.image_id == example.image_id]
    return next(iter(own or records), None)


def _crop(image_id: int, box: Box, files: LibraryFiles, encoder: Encoder) -> Floats | None:
    from relook.search.regions import encoded_boxes  # it needs Pillow

    try:
        return encoded_boxes(files, encoder, [(image_id, box)])[image_id, box]
    except (ImageError, NotFoundError):
        return None


def latest(examples: Sequence[ConceptExample]) -> tuple[ConceptExample, ...]:
    """One example of each place, the last."""
    return tuple({(example.content, example.box): example for example in examples}.values())


def united(examples: Sequence[ConceptExample]) -> tuple[ConceptExample, ...]:
    """One example of each place; relevant where any of them is."""
    relevant = {(each.content, each.box) for each in examples if each.relevant}
    return tuple(
        replace(each, relevant=(each.content, each.box) in relevant) for each in latest(examples)
    )


def n_contradictions(examples: Sequence[ConceptExample]) -> int:
    """How many places are relevant in one example and irrelevant in another."""
    signs: dict[object, set[bool]] = {}
    for example in examples:
        signs.setdefault((example.content, example.box), set()).add(example.relevant)
    return sum(len(each) > 1 for each in signs.values())

"""Concepts as files: vectors, words and examples, with the encoder they are of. Layer: search.

A file is believed in nothing: every value has its type and its range, and a vector must be of
the length that the file's encoder says. Pictures are known by the digest of their files; a
concept works without them in every library of the same encoder.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from relook.core.converter import JsonValue, from_json
from relook.core.errors import (
    InputError,
    NotFoundError,
    RelookError,
    TooLargeError,
    counted,
    unread_file,
)
from relook.core.json_form import HEX, Between, Longest, OneOf, Shortest
from relook.core.text_encoding import decoded
from relook.core.types import Box, Query
from relook.core.vectors import Floats, unit
from relook.feedback.strategies import STRATEGIES
from relook.library.concept_values import MAX_CONCEPT_NAME, Concept, ConceptExample, concept_name
from relook.library.session_rows import MAX_TEXT, Text, Weight, bounded_query
from relook.search.concepts import Concepts

CONCEPT_FORMAT = "relook-concept-1"
_MAX_BYTES = 64 * 1024**2
_MAX_EXAMPLES, _MAX_TILES, _MAX_DIM = 5000, 64, 16_384


@dataclass(frozen=True, slots=True)
class ExampleEntry:
    """An example: its picture by digest, and its vectors as float32, row after row, in base64."""

    content: Annotated[bytes, HEX, Longest(128)]
    relevant: bool
    path: Annotated[str, Longest(MAX_TEXT)] = ""
    box: Box | None = None
    caption: Text = ""
    weight: Weight = 1.0
    n_tiles: Annotated[int, Between(0, _MAX_TILES)] = 0
    tiles: bytes = b""


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """The encoder that made a concept's vectors.

    Args:
        digest: Of its fingerprint.
        name: As messages name it.
        dim: Length of its vectors.
    """

    digest: Annotated[str, Longest(200)]
    name: Annotated[str, Longest(1000)]
    dim: Annotated[int, Between(1, _MAX_DIM)]


@dataclass(frozen=True, slots=True)
class ConceptFile(JsonValue):
    """An exported concept.

    Args:
        format: Always `relook-concept-1`.
        name: What its person calls it.
        query: The words that it began from; null when it began from pictures.
        relevant_words, irrelevant_words: What fits and what does not, in words.
        strategy: How its examples are used.
        encoder: What made the vectors.
        vector: What it ranks by: float32 in base64.
        examples: Oldest first.
    """

    format: Annotated[str, OneOf((CONCEPT_FORMAT,))]
    name: Annotated[str, Shortest(1), Longest(MAX_CONCEPT_NAME)]
    query: Query | None
    relevant_words: Text
    irrelevant_words: Text
    strategy: Annotated[str, OneOf(tuple(STRATEGIES))]
    encoder: EncoderEntry
    vector: bytes
    examples: Annotated[tuple[ExampleEntry, ...], Longest(_MAX_EXAMPLES)]


def export_concept(concepts: Concepts, named: str | int) -> dict[str, Any]:
    """A concept as a JSON object, fitted for the library's encoder.

    Raises:
        NotFoundError: `no_concept`, `concept_away`.
    """
    concept = concepts.fitted(named)
    fingerprint = concepts.engine.files.manifest.fingerprint
    assert concept.vector is not None
    return ConceptFile(
        format=CONCEPT_FORMAT,
        name=concept.name,
        query=concept.query,
        relevant_words=concept.relevant_words,
        irrelevant_words=concept.irrelevant_words,
        strategy=concept.strategy,
        encoder=EncoderEntry(fingerprint.digest, fingerprint.told, fingerprint.dim),
        vector=_packed(concept.vector),
        examples=tuple(_entry(example, fingerprint.digest) for example in concept.examples),
    ).as_dict(pictures=True)


def _entry(example: ConceptExample, digest: str) -> ExampleEntry:
    tiles = example.tiles if example.encoder == digest else None
    return ExampleEntry(
        example.content, example.relevant, example.path, example.box, example.caption,
        example.weight, 0 if tiles is None else len(tiles),
        b"" if tiles is None else _packed(tiles),
    )  # fmt: skip


def add_concept(
    concepts: Concepts,
    data: bytes,
    *,
    name: str = "",
    replaced: bool = False,
    source: str = "the file",
) -> tuple[Concept, tuple[str, ...]]:
    """Adds an exported concept to a library; all of it is checked before any of it is written.

    One of another encoder is fitted again from its words, and from those of its pictures that
    this library has.

    Args:
        concepts: Of the library.
        data: The concept as JSON.
        name: What to call it; its own name when empty.
        replaced: Whether a concept of this name is replaced.
        source: What to call the file in messages.

    Returns:
        The concept, and notes about what of it does not count here.

    Raises:
        InputError: `bad_concept_file` naming the place that is wrong; `other_encoder` for one of
            another encoder without words and of which this library has no picture; `name_taken`,
            `bad_name`.
        TooLargeError: `concept_too_large`.
    """
    file = _read(data, source)
    concept = _concept(file, source)
    if name:
        concept = replace(concept, name=concept_name(name))
    fingerprint = concepts.engine.files.manifest.fingerprint
    try:
        added = concepts.add(concept, replaced=replaced)
    except NotFoundError as error:
        raise InputError(
            "other_encoder",
            f"the concept is of the encoder {file.encoder.name}; this library is of"
            f" {fingerprint.told}, has none of its {counted(len(concept.examples), 'picture')}, and"
            " the concept has no words to fit it again from",
            "import it into a library of that encoder, or index its pictures first",
        ) from error
    n_stale = sum(example.encoder != fingerprint.digest for example in added.examples)
    notes = []
    if file.encoder.digest != fingerprint.digest:
        n_read = len(added.examples) - n_stale
        notes.append(
            f"the concept is of another encoder, {file.encoder.name}: it was fitted again from"
            f" its words and {n_read} of its {counted(len(added.examples), 'example')}"
        )
    return added, tuple(notes)


def read_bytes(path: Path) -> bytes:
    """A file that may hold a concept, as far as one may be long.

    Raises:
        InputError: `bad_concept_file` when it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise unread_file("bad_concept_file", path, error) from error


def _read(data: bytes, source: str) -> ConceptFile:
    if len(data) > _MAX_BYTES:
        raise TooLargeError(
            "concept_too_large", f"{source} holds {len(data):,} bytes; at most {_MAX_BYTES:,}"
        )
    try:
        values = json.loads(decoded(data), parse_constant=_refuse)
        return from_json(ConceptFile, values, skip_unknown=True)
    except RecursionError as error:
        raise _bad(source, "it is nested too deeply") from error
    except ValueError as error:
        raise _bad(source, error.message if isinstance(error, RelookError) else error) from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number that JSON has")


def _bad(source: str, problem: object) -> InputError:
    return InputError(
        "bad_concept_file",
        f"{source} is not an exported concept: {problem}",
        "export it again with: relook concept export",
    )


def _concept(file: ConceptFile, source: str) -> Concept:
    query = file.query
    if query is not None:
        if any(part.text is None for part in query.parts):
            raise _bad(source, "its query has parts that are no words")
        query = bounded_query(query)
    dim, digest = file.encoder.dim, file.encoder.digest
    vector = _unpacked(file.vector, 1, dim, "vector", source)[0]
    examples = []
    for at, entry in enumerate(file.examples):
        place = f"examples[{at}].tiles"
        tiles = _unpacked(entry.tiles, entry.n_tiles, dim, place, source) if entry.n_tiles else None
        examples.append(
            ConceptExample(
                0,
                None,
                entry.content,
                entry.path,
                entry.relevant,
                entry.box,
                entry.caption,
                entry.weight,
                "" if tiles is None else digest,
                tiles,
            )
        )
    return Concept(
        0, concept_name(file.name), query, file.relevant_words, file.irrelevant_words,
        file.strategy, tuple(examples), encoder=digest, vector=vector,
    )  # fmt: skip


def _packed(vectors: Floats) -> bytes:
    return np.ascontiguousarray(vectors, "<f4").tobytes()


def _unpacked(data: bytes, n: int, dim: int, place: str, source: str) -> Floats:
    """[n, dim] unit vectors of base64's bytes."""
    if len(data) != 4 * n * dim:
        problem = f"{place}: {len(data)} bytes are not {n} x {dim} numbers"
        raise _bad(source, problem)
    rows = np.frombuffer(data, "<f4").reshape(n, dim).astype(np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not np.isfinite(lengths).all() or (lengths < 1e-6).any():
        raise _bad(source, f"{place}: a vector has no direction")
    return np.stack([unit(row) for row in rows])

"""Concepts in the catalog: what sessions learnt, by name. Layer: library.

Rows in, rows out: how a concept ranks is the search layer's business. Vectors are float32, each
with the encoder that made it, so that one of another encoder is never taken for one of this.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from relook.core.converter import from_json
from relook.core.errors import InputError, NotFoundError
from relook.core.json_writer import to_json
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.library.catalog import Catalog
from relook.library.concept_values import Concept, ConceptExample, concept_name
from relook.library.session_rows import MAX_TEXT, Weight, read_json, read_query
from relook.library.tombstones import sweep_tombstones

CONCEPTS = """
CREATE TABLE IF NOT EXISTS concepts (
    concept_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    query TEXT,
    relevant_words TEXT NOT NULL,
    irrelevant_words TEXT NOT NULL,
    strategy TEXT NOT NULL,
    encoder TEXT NOT NULL,
    vector BLOB,
    seen_id INTEGER NOT NULL,
    created_s REAL NOT NULL,
    changed_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS concept_examples (
    example_id INTEGER PRIMARY KEY AUTOINCREMENT,
    concept_id INTEGER NOT NULL,
    image_id INTEGER,
    content BLOB NOT NULL,
    path TEXT NOT NULL,
    relevant INTEGER NOT NULL,
    box TEXT,
    caption TEXT NOT NULL,
    weight REAL NOT NULL,
    encoder TEXT NOT NULL,
    n_tiles INTEGER NOT NULL,
    tiles BLOB
);
CREATE INDEX IF NOT EXISTS concept_examples_concept ON concept_examples (concept_id);
"""
"""The tables of concepts, as SQL."""
_CONCEPT = (
    "concept_id, CAST(name AS BLOB), CAST(query AS BLOB), CAST(relevant_words AS BLOB),"
    " CAST(irrelevant_words AS BLOB), CAST(strategy AS BLOB), CAST(encoder AS BLOB), vector,"
    " seen_id, created_s, changed_s"
)
_EXAMPLE = (
    "example_id, image_id, content, CAST(path AS BLOB), relevant, CAST(box AS BLOB),"
    " CAST(caption AS BLOB), weight, CAST(encoder AS BLOB), n_tiles, tiles"
)


class ConceptTable:
    """The concepts of one library. Reading makes no table.

    Args:
        catalog: Of the library.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> list[Concept]:
        """Every concept, by name."""
        if not self._is_there():
            return []
        rows = self._catalog.ask(f"SELECT {_CONCEPT} FROM concepts ORDER BY name_key")
        return [self._read(row) for row in rows]

    def get(self, named: str | int) -> Concept:
        """A concept by its name, in capitals or not, or by its id.

        Raises:
            NotFoundError: `no_concept`, with the names there are.
        """
        column, value = ("concept_id", named) if isinstance(named, int) else (
            "name_key", _key(named)
        )  # fmt: skip
        if self._is_there() and not (isinstance(named, int) and abs(named) >= 2**63):
            sql = f"SELECT {_CONCEPT} FROM concepts WHERE {column} = ?"
            for row in self._catalog.ask(sql, (value,)):
                return self._read(row)
        called = f"concept {named}" if isinstance(named, int) else f"concept @{named:.80}"
        raise NotFoundError("no_concept", f"this library has no {called}", self._hint())

    def _hint(self) -> str:
        names: list[str] = []
        if self._is_there():
            rows = self._catalog.ask("SELECT CAST(name AS BLOB) FROM concepts ORDER BY name_key")
            names = ["@" + _text(row[0]) for row in rows[:12]]
        if not names:
            return "save one from a session, relook concept save NAME, or import one"
        return f"it has {', '.join(names)}; other words go behind a +: @NAME + snow"

    def together(self) -> AbstractContextManager[Any]:
        """Makes every change inside the block one: all of them, or none after a stop."""
        return self._catalog.transaction()

    def version(self) -> tuple[int, int]:
        """Another value after every change of the catalog, here or by another process."""
        return self._catalog.version()

    def put(self, concept: Concept) -> Concept:
        """Adds a concept (id 0), or replaces the one with its id; with its examples.

        Returns:
            The concept as it is read back.

        Raises:
            InputError: `name_taken` when another concept has its name.
        """
        name, now_s = concept_name(concept.name), time.time()
        query = None if concept.query is None else json.dumps(to_json(concept.query))
        values = (
            name, _key(name), query, concept.relevant_words, concept.irrelevant_words,
            concept.strategy, concept.encoder, _blob(concept.vector), concept.seen_id,
            concept.created_s or now_s, now_s,
        )  # fmt: skip
        with self._writing() as db:
            concept_id = concept.concept_id
            self._refuse_taken(db, name, concept_id)
            if concept_id:
                names = (
                    "name, name_key, query, relevant_words, irrelevant_words, strategy, encoder,"
                    " vector, seen_id, created_s, changed_s"
                )
                sets = ", ".join(f"{column} = ?" for column in names.split(", "))
                db.execute(
                    f"UPDATE concepts SET {sets} WHERE concept_id = ?", (*values, concept_id)
                )
            else:
                marks = ", ".join("?" * len(values))
                concept_id = int(
                    db.execute(f"INSERT INTO concepts VALUES (NULL, {marks})", values).lastrowid
                    or 0
                )
            self._put_examples(db, concept_id, concept.examples)
        return self.get(concept_id)

    def _put_examples(
        self, db: sqlite3.Connection, concept_id: int, examples: Sequence[ConceptExample]
    ) -> None:
        db.execute("DELETE FROM concept_examples WHERE concept_id = ?", (concept_id,))
        for example in examples:
            tiles = example.tiles
            values = (
                example.example_id or None, concept_id, example.image_id, example.content,
                example.path, example.relevant,
                None if example.box is None else json.dumps(example.box.as_list()),
                example.caption, example.weight, example.encoder,
                0 if tiles is None else len(tiles), _blob(tiles),
            )  # fmt: skip
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO concept_examples VALUES ({marks})", values)
        sweep_tombstones(db)

    def delete(self, concept_id: int) -> None:
        """Removes a concept with its examples; the pictures stay."""
        if not self._is_there():
            return
        with self._catalog.transaction() as db:
            for table in ("concept_examples", "concepts"):
                db.execute(f"DELETE FROM {table} WHERE concept_id = ?", (concept_id,))
            sweep_tombstones(db)

    def saw(self, concept_id: int, image_id: int) -> None:
        """Notes that the album was looked at when this was the highest image id."""
        with self._catalog.transaction() as db:
            values = (image_id, concept_id)
            db.execute("UPDATE concepts SET seen_id = ? WHERE concept_id = ?", values)

    def _refuse_taken(self, db: sqlite3.Connection, name: str, concept_id: int) -> None:
        sql = "SELECT concept_id FROM concepts WHERE name_key = ? AND concept_id <> ?"
        if db.execute(sql, (_key(name), concept_id)).fetchone():
            raise InputError(
                "name_taken",
                f"there is a concept @{name} already",
                "give another name, or say that it is to be replaced (--replace)",
            )

    def make(self) -> None:
        """Makes the tables, where they are missing."""
        if not self._is_there():
            with self._catalog.transaction() as db:
                for statement in CONCEPTS.split(";"):
                    db.execute(statement)

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        self.make()
        return self._catalog.transaction()

    def _is_there(self) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = 'concept_examples'"
        return bool(self._catalog.ask(sql))

    def _read(self, row: tuple[Any, ...]) -> Concept:
        concept_id, name, query, relevant, irrelevant, strategy, encoder, *rest = row
        vector, seen_id, created_s, changed_s = rest
        sql = f"SELECT {_EXAMPLE} FROM concept_examples WHERE concept_id = ? ORDER BY example_id"
        examples, problems = [], []
        for line in self._catalog.ask(sql, (concept_id,)):
            try:
                examples.append(_example(line))
            except (InputError, ValueError, TypeError) as error:
                problems.append(f"example {line[0]} cannot be read, and does not count: {error}")
        parsed = None if query is None else read_query(query)
        if query is not None and parsed is None:
            problems.append("its query cannot be read; its examples count alone")
        return Concept(
            int(concept_id), _text(name), parsed, _text(relevant), _text(irrelevant),
            _text(strategy), tuple(examples), _number(created_s), _number(changed_s),
            seen_id if isinstance(seen_id, int) else 0, _text(encoder),
            _vectors(vector, 1), tuple(problems),
        )  # fmt: skip


def _example(row: tuple[Any, ...]) -> ConceptExample:
    example_id, image_id, content, path, relevant, box, caption, weight, encoder, *rest = row
    n_tiles, blob = rest
    tiles = None if blob is None else _vectors(blob, int(n_tiles))
    return ConceptExample(
        int(example_id), image_id if isinstance(image_id, int) else None, bytes(content),
        _text(path), bool(relevant),
        None if box is None else from_json(Box, read_json(box)),
        _text(caption), from_json(Weight, weight), _text(encoder) if tiles is not None else "",
        None if tiles is None else tiles.reshape(int(n_tiles), -1),
    )  # fmt: skip


def _vectors(blob: object, n: int) -> Floats | None:
    """[k] floats of a column; None for one that holds no `n` finite vectors."""
    if not isinstance(blob, bytes) or n < 1 or not blob or len(blob) % (4 * n):
        return None
    values = np.frombuffer(blob, np.float32)
    return values if np.isfinite(values).all() else None


def _blob(vectors: Floats | None) -> bytes | None:
    return None if vectors is None else np.ascontiguousarray(vectors, np.float32).tobytes()


def _text(data: object) -> str:
    return data.decode("utf-8", "replace")[:MAX_TEXT] if isinstance(data, bytes) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _key(name: str) -> str:
    """Names that differ in capitals or blanks only are one name."""
    return concept_name(name).casefold()

"""Words that stand in pictures, in the catalog. Layer: library.

They belong to the content of a file, not to its place: a picture that moves keeps them, copies
share them, and one that changes or leaves the library loses them, by triggers. A picture without
words has a row, too, so that it is read once. The index (SQLite's FTS5) is derived from the rows.

Source: https://sqlite.org/fts5.html, external content tables.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from relook.core.errors import StorageError
from relook.core.types import Box, WrittenWord
from relook.core.vectors import Floats, Ints
from relook.core.words import tokens
from relook.library.catalog import Catalog
from relook.library.findings import CheckReport
from relook.library.sqlite_errors import whole_number
from relook.readers.base import TextLine

TEXT_INDEX = "text_index"
"""The name of the index, and what its own tables begin with."""
TEXTS = """
CREATE TABLE IF NOT EXISTS picture_texts (
    text_id INTEGER PRIMARY KEY,
    content BLOB NOT NULL UNIQUE,
    reader TEXT NOT NULL,
    lines TEXT NOT NULL,
    words TEXT NOT NULL
)
"""
"""The rows, as SQL: lines of words with boxes as JSON, and the tokens of the words."""
_INDEX = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {TEXT_INDEX} USING fts5 (words,"
    " content = 'picture_texts', content_rowid = 'text_id', tokenize = 'ascii')",
    "CREATE TRIGGER IF NOT EXISTS texts_added AFTER INSERT ON picture_texts BEGIN"
    f" INSERT INTO {TEXT_INDEX} (rowid, words) VALUES (new.text_id, new.words); END",
    "CREATE TRIGGER IF NOT EXISTS texts_removed AFTER DELETE ON picture_texts BEGIN"
    f" INSERT INTO {TEXT_INDEX} ({TEXT_INDEX}, rowid, words)"
    " VALUES ('delete', old.text_id, old.words); END",
)
_OF_IMAGES = (
    "CREATE TRIGGER IF NOT EXISTS texts_gone AFTER DELETE ON images"
    " WHEN NOT EXISTS (SELECT 1 FROM images WHERE content = old.content) BEGIN"
    " DELETE FROM picture_texts WHERE content = old.content; END",
    "CREATE TRIGGER IF NOT EXISTS texts_changed AFTER UPDATE OF content ON images"
    " WHEN old.content IS NOT new.content"
    " AND NOT EXISTS (SELECT 1 FROM images WHERE content = old.content) BEGIN"
    " DELETE FROM picture_texts WHERE content = old.content; END",
)
_MOST_WORDS, _LONGEST = 5_000, 200  # of a picture; characters of a word
_AWAY = "SELECT image_id FROM whereabouts WHERE absence_id IS NOT NULL"
_ORPHANS = "content NOT IN (SELECT content FROM images)"


class TextTable:
    """The words in the pictures of one library. Reading makes no table.

    Args:
        catalog: Of the library.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def is_there(self) -> bool:
        """Whether words were ever read."""
        sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return bool(self._catalog.ask(sql, (TEXT_INDEX,)))

    def make(self) -> None:
        """Makes the tables where they are not.

        Raises:
            StorageError: `no_text_index` for an SQLite that was built without FTS5.
        """
        if not self._catalog.ask("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"):
            raise StorageError(
                "no_text_index", "this Python's SQLite has no full-text index (FTS5)",
                "use a Python from python.org or your distribution",
            )  # fmt: skip
        with self._catalog.transaction() as db:
            make_texts(db)

    def n_read(self) -> int:
        """In how many images words were looked for."""
        return self.counts()[0]

    def counts(self) -> tuple[int, int]:
        """In how many images words were looked for, and how many have some."""
        if not self.is_there():
            return 0, 0
        sql = (
            "SELECT count(*), coalesce(sum(words <> ''), 0)"
            " FROM images JOIN picture_texts USING (content)"
        )
        n_read, n_found = map(whole_number, self._catalog.ask(sql)[0])
        return n_read, n_found

    def unread(self) -> Ints:
        """[n] ids of images that are not away and were not read; one of each content."""
        there = (
            " AND NOT EXISTS (SELECT 1 FROM picture_texts AS known"
            " WHERE known.content = images.content)"
            if self.is_there()
            else ""
        )
        sql = (
            f"SELECT min(image_id) FROM images WHERE image_id NOT IN ({_AWAY}){there}"
            " GROUP BY content ORDER BY 1"
        )
        return np.array(self._catalog.ask(sql), np.int64).reshape(-1)

    def put(self, texts: Sequence[tuple[bytes, Sequence[TextLine]]], reader: str) -> None:
        """Keeps what stands in pictures, by the digest of their files; all of it or nothing.

        Args:
            texts: Digest and lines of each; of more than 5,000 words the first count.
            reader: What read them.

        Raises:
            StorageError, LibraryBusyError: when the catalog cannot be written.
        """
        with self._catalog.transaction() as db:
            for content, lines in texts:
                db.execute("DELETE FROM picture_texts WHERE content = ?", (content,))
                _insert(db, content, lines, reader)

    def add(self, texts: Sequence[tuple[bytes, Sequence[TextLine], str]]) -> int:
        """Keeps what stands in pictures that were not read yet; all of it or nothing.

        Args:
            texts: Digest of the file, lines and reader of each. Files that are no image of the
                library are passed over.

        Returns:
            How many were kept.
        """
        with self._catalog.transaction() as db:
            return sum(_insert(db, *text) for text in texts)

    def each(self) -> Iterator[tuple[bytes, str, tuple[TextLine, ...]]]:
        """Digest, reader and lines of every picture that was read."""
        if not self.is_there():
            return
        last = -1
        sql = (
            "SELECT text_id, content, reader, lines FROM picture_texts WHERE text_id > ?"
            " ORDER BY text_id LIMIT 256"
        )
        while rows := self._catalog.ask(sql, (last,)):
            for text_id, content, reader, lines in rows:
                last = whole_number(text_id)
                if isinstance(content, bytes):
                    yield content, str(reader), _lines(str(lines))

    def matching(self, expression: str, limit: int = -1) -> tuple[Ints, Floats]:
        """Images in which words stand.

        Args:
            expression: In the language of FTS5.
            limit: How many pictures at most, those that it fits best; -1 for all.

        Returns:
            [n] image ids, those it fits best first; [n] how well, by BM25, higher is better.
        """
        if not self.is_there():
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        rows = self._catalog.ask(
            "WITH fitting AS (SELECT rowid AS text_id, rank AS cost"
            f" FROM {TEXT_INDEX} WHERE {TEXT_INDEX} MATCH ? ORDER BY rank LIMIT ?)"
            " SELECT images.image_id, fitting.cost FROM fitting JOIN picture_texts USING (text_id)"
            " JOIN images USING (content) ORDER BY fitting.cost, images.image_id",
            (expression, limit),
        )
        ids = np.array([row[0] for row in rows], np.int64)
        return ids, -np.array([row[1] for row in rows], np.float32)

    def words_of(self, image_ids: Iterable[int]) -> dict[int, tuple[WrittenWord, ...]]:
        """The words that stand in images, in the order in which they are read."""
        if not self.is_there():
            return {}
        rows = self._catalog.ask(
            "SELECT image_id, lines FROM images JOIN picture_texts USING (content)"
            " WHERE image_id IN (SELECT value FROM json_each(?)) AND words <> ''",
            (json.dumps(list(image_ids)),),
        )
        return {whole_number(image_id): _words(str(lines)) for image_id, lines in rows}


def make_texts(db: sqlite3.Connection) -> None:
    """Makes the tables and triggers where they are not. Inside a transaction."""
    for statement in (TEXTS, *_INDEX, *_OF_IMAGES):
        db.execute(statement)


_UNFIT = (
    "typeof(content) <> 'blob' OR typeof(lines) <> 'text' OR typeof(words) <> 'text'"
    " OR typeof(reader) <> 'text' OR NOT json_valid(lines)"
)
_UNINDEXED = f"text_id NOT IN (SELECT id FROM {TEXT_INDEX}_docsize)"
TEXT_FAULTS = ("bad_text_row", "loose_text", "text_not_indexed")
"""What `check_texts` finds and `mend_texts` mends."""
_MENDED = "make the index of words again; relook index --text reads what is lost"


def check_texts(catalog: Catalog, report: CheckReport) -> None:
    """Adds words of pictures that cannot be read, belong to no picture, or are not indexed.

    Raises:
        LibraryFormatError: when the catalog cannot be read.
    """
    table = TextTable(catalog)
    if not table.is_there():
        if catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'picture_texts'"):
            find_unindexed(report, 1)
        return
    report.counts["texts"] = table.n_read()
    for code, condition, what in (
        ("bad_text_row", _UNFIT, "pictures whose words are damaged"),
        ("loose_text", _ORPHANS, "texts of pictures that are not in the library"),
    ):
        if n_rows := catalog.count(f"picture_texts WHERE {condition}"):
            report.find(code, f"{n_rows:,} {what}", ["picture_texts"], _MENDED, n=n_rows)
    if n_rows := catalog.count(f"picture_texts WHERE {_UNINDEXED}"):
        find_unindexed(report, n_rows)


def find_unindexed(report: CheckReport, n: int) -> None:
    """Adds that the index of words is not what it is made of."""
    if not report.has("text_not_indexed"):
        message = "the index of the words in pictures is damaged"
        report.find("text_not_indexed", message, [TEXT_INDEX], _MENDED, n=n)


def mend_texts(db: sqlite3.Connection) -> list[str]:
    """Takes out words that `check_texts` refuses and makes the index again. In a transaction.

    Returns:
        What was done.
    """
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'picture_texts'").fetchone():
        return []
    for trigger in ("texts_added", "texts_removed"):
        db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    db.execute(f"DROP TABLE IF EXISTS {TEXT_INDEX}")
    n_rows = db.execute(f"DELETE FROM picture_texts WHERE {_UNFIT} OR {_ORPHANS}").rowcount
    make_texts(db)
    db.execute(f"INSERT INTO {TEXT_INDEX} ({TEXT_INDEX}) VALUES ('rebuild')")
    lost = f", without {n_rows:,} damaged or loose rows" if n_rows else ""
    return [f"made the index of words in pictures again{lost}"]


def _insert(db: sqlite3.Connection, content: bytes, lines: Sequence[TextLine], reader: str) -> int:
    """Keeps what stands in a picture of the library that has nothing yet; 1 if it did, else 0."""
    kept = _bounded(lines)
    words = " ".join(tokens(" ".join(str(word[0]) for line in kept for word in line)))
    return db.execute(
        "INSERT INTO picture_texts (content, reader, lines, words) SELECT ?1, ?2, ?3, ?4"
        " WHERE EXISTS (SELECT 1 FROM images WHERE content = ?1)"
        " ON CONFLICT (content) DO NOTHING",
        (content, reader, json.dumps(kept, ensure_ascii=False), words),
    ).rowcount


def _bounded(lines: Sequence[TextLine]) -> list[list[list[str | float]]]:
    """Lines as they are kept: of each word its text and its edges."""
    left, kept = _MOST_WORDS, []
    for line in lines:
        words = line.words[:left]
        left -= len(words)
        if words:
            kept.append([_entry(word) for word in words])
    return kept


def _entry(word: WrittenWord) -> list[str | float]:
    text = word.text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
    return [text, *(round(edge, 4) for edge in word.box.as_list())]


def _lines(lines: str) -> tuple[TextLine, ...]:
    """The lines of a row; words whose box has no area are left out."""
    kept = (
        tuple(
            WrittenWord(str(text), Box(x0, y0, x1, y1))
            for text, x0, y0, x1, y1 in line
            if x1 > x0 and y1 > y0
        )
        for line in json.loads(lines)
    )
    return tuple(TextLine(words) for words in kept if words)


def _words(lines: str) -> tuple[WrittenWord, ...]:
    """The words of a row, in the order in which they are read."""
    return tuple(word for line in _lines(lines) for word in line.words)

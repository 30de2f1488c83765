"""Titles, captions and metadata of pictures in files beside them. Layer: library.

Sidecar files are CSV and JSON lines with a `path` column, and COCO annotation JSON. XMP and
Google Takeout's JSON lie beside a picture in its folder; an archive may hold further words.

Source: the WebDataset format, https://github.com/webdataset/webdataset: `key.jpg` with `key.txt` (a
caption), `key.json` (facts) and `key.cls` (a class) in one archive.
"""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relook.core.errors import MetadataError, counted
from relook.core.picture_paths import is_video, member_path, path_bytes, printable, split_member
from relook.core.sources import read_beside
from relook.core.text_encoding import decoded, table_rows
from relook.library.picture_facts import is_takeout, parsed_xmp, takeout_words, xmp_words
from relook.library.records import Words

_PATH_KEYS = ("path", "file", "filename", "file_name", "image")
_OF_PEOPLE = ("keywords", "rating", "artist", "copyright")
_DRIVE = re.compile(r"[A-Za-z]:/")
_SHOWN = 5
_TITLE, _CAPTION = ("title",), ("caption", "captions")
_MEMBER_CAPTION = (*_CAPTION, "text", "TEXT")
_COLUMNS = (*_PATH_KEYS, "title", "caption")
_DELIMITERS = ",;\t"
_PATH_COLUMN = f"one column must be called {', '.join(_PATH_KEYS[:-1])} or {_PATH_KEYS[-1]}"
_JOINT = " | "  # of several captions
_OURS = ("image_id", "path", "width_px", "height_px", "content")  # as `relook export` writes


class Sidecars:
    """Titles, captions and metadata from sidecar files, by picture.

    A path in a sidecar is absolute or relative to the sidecar's folder. Where no file is there, the
    row may be about the picture that alone has that bare name, if no other row has it, or whose
    path differs in case or in the Unicode form only, or is as Windows writes it.

    Args:
        files: CSV, JSONL or COCO JSON; later ones win.

    Raises:
        MetadataError: `bad_sidecar` with the file and line that cannot be read.
    """

    def __init__(self, files: list[Path]) -> None:
        self._by_path: dict[bytes, Words] = {}
        self._by_name: dict[bytes, bytes | None] = {}
        self._by_likeness: dict[str, bytes | None] = {}
        self._texts: dict[bytes, str] = {}  # of the paths, as they stand in the file
        self._taken: set[bytes] = set()
        self._doubts: list[tuple[str, int]] = []  # a row's path as it stands, and how many fit
        self.n_entries = 0
        for file in files:
            for path, words in _entries(file):
                try:
                    self._add(file.parent, path, words)
                except UnicodeEncodeError as error:
                    raise MetadataError(
                        "bad_sidecar", f"{file}: {path!r} cannot be a path: {error}"
                    ) from error

    def __bool__(self) -> bool:
        return bool(self.n_entries)

    def __contains__(self, path: object) -> bool:
        """Whether a row has this very path."""
        return path in self._by_path

    def get(self, path: bytes) -> Words | None:
        """The words for the picture at an absolute path, or None."""
        words = self._by_path.get(path)
        if words is not None:
            self._taken.add(path)
        return words

    @property
    def has_untaken(self) -> bool:
        """Whether there are rows whose own path was no picture's so far."""
        return len(self._taken) < len(self._by_path)

    def likely(self, path: bytes) -> bytes | None:
        """The row, by its own path, that a picture's name or another spelling of its path fits."""
        name = os.path.basename(path)
        for row in (self._by_name.get(name), self._alike(path), self._alike(name)):
            if row is not None and row not in self._taken:
                return row
        return None

    def take(self, row: bytes) -> Words:
        """The words of a row, by its own path; it is no longer told as one of no picture."""
        self._taken.add(row)
        return self._by_path[row]

    def doubt(self, row: bytes, n_pictures: int) -> None:
        """Records that a row may be about any of several pictures."""
        self._taken.add(row)
        self._doubts.append((self._texts[row], n_pictures))

    def unused_note(self) -> str:
        """A sentence on the rows that named no picture so far; empty when all did."""
        unused = [text for full, text in self._texts.items() if full not in self._taken]
        if not unused:
            return ""
        n, name = len(self._texts), "names" if len(unused) == 1 else "name"
        return f"{len(unused):,} of {counted(n, 'row')} {name} no picture: {_listed(unused)}"

    def doubts_note(self) -> str:
        """A sentence on the rows that several pictures fit; empty when there is none."""
        if not self._doubts:
            return ""
        listed = _listed([f"{text} ({n:,})" for text, n in self._doubts])
        n, fit = len(self._texts), "fits" if len(self._doubts) == 1 else "fit"
        n_rows = f"{len(self._doubts):,} of {counted(n, 'row')}"
        return f"{n_rows} {fit} several pictures: {listed}; write their paths"

    def _alike(self, path: bytes) -> bytes | None:
        return self._by_likeness.get(_likeness(path))

    def _add(self, folder: Path, path: str, words: Words) -> None:
        self.n_entries += 1
        full = path_bytes(os.path.normpath(os.path.join(os.path.abspath(folder), path)))
        self._by_path[full] = words
        self._texts[full] = path
        name, is_there = os.path.basename(full), os.path.lexists(full)
        if self._by_name.setdefault(name, full) != full or is_there:
            self._by_name[name] = None
        if is_there:
            return
        plain = path.strip().replace("\\", "/")
        plain = "/" + plain[3:] if _DRIVE.match(plain) else plain
        place = path_bytes(os.path.normpath(os.path.join(os.path.abspath(folder), plain)))
        for key in {_likeness(place), _likeness(os.path.basename(place))}:
            if self._by_likeness.setdefault(key, full) != full:
                self._by_likeness[key] = None


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return ", ".join(printable(text) for text in texts[:_SHOWN]) + more


def _likeness(path: bytes) -> str:
    """What is equal of paths that differ in case or in the Unicode form only."""
    return unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape")).casefold()


def _entries(file: Path) -> Iterator[tuple[str, Words]]:
    try:
        lines = decoded(file.read_bytes()).replace("\r\n", "\n")
        text = lines.replace("\r", "\n")
    except FileNotFoundError as error:
        raise MetadataError(
            "bad_sidecar", f"there is no {file}",
            "check the path (--metadata, library.metadata); a public data set's labels come with"
            " relook dataset",
        ) from error  # fmt: skip
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError("bad_sidecar", f"cannot read {file}: {error}") from error
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        delimiter = _delimiter(file, text)
        rows = table_rows(file, text, _PATH_KEYS, "bad_sidecar", delimiter)
        yield from _rows(file, rows)
    elif suffix in (".jsonl", ".ndjson"):
        yield from _rows(file, _json_lines(file, text))
    elif suffix == ".json":
        yield from _coco(file, text)
    else:
        raise MetadataError(
            "bad_sidecar", f"{file} is no sidecar", "give a .csv, a .jsonl or a COCO .json file"
        )


def _delimiter(file: Path, text: str) -> str:
    """What stands between the columns: that by which the first line names one of pictures."""
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            continue
        if any(_column(name) in _PATH_KEYS for name in names):
            return delimiter
    raise MetadataError(
        "bad_sidecar",
        f"{file} line 1 does not say which column names the pictures",
        f"the first line names the columns, with commas, semicolons or tabs; {_PATH_COLUMN}",
    )


def _column(name: str) -> str:
    """The name of a column or key; of those that mean something, in lower case."""
    plain = name.strip()
    return plain.lower() if plain.lower() in _COLUMNS else plain


def _json_lines(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise MetadataError("bad_sidecar", f"{file} line {number}: {error}") from error


def _rows(file: Path, rows: Any) -> Iterator[tuple[str, Words]]:
    for number, row in rows:
        values = dict(row) if isinstance(row, Mapping) else {}
        values = {_column(k) if isinstance(k, str) else k: value for k, value in values.items()}
        key = next((name for name in _PATH_KEYS if values.get(name)), None)
        if key is None:
            raise MetadataError(
                "bad_sidecar",
                f"{file} line {number} does not say which picture it is about",
                _PATH_COLUMN,
            )
        path = str(values.pop(key))
        title, caption = _take_texts(values, _TITLE), _take_texts(values, _CAPTION)
        facts = {k: v for k, v in values.items() if k and v not in (None, "", [])}
        yield path, _words(title, caption, facts)


def _take_texts(values: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first text under some keys, which leave the values; what is no text stays there.

    Of several in a list the first is meant; all stay, joined: captions under `captions`.
    """
    groups = [
        _texts(values.pop(key))
        for key in keys
        # A text under `captions` is of several that were joined before.
        if key in values and _is_text(values[key], list_only=key == "captions")
    ]
    most = max(groups, key=len, default=[])
    if len(most) > 1:
        values[f"{keys[0]}s"] = _JOINT.join(most)
    return next((texts[0] for texts in groups if texts), "")


def _is_text(value: object, *, list_only: bool) -> bool:
    if list_only and not isinstance(value, list):
        return False
    several = value if isinstance(value, list) else [value]
    return all(isinstance(text, str | int | float | None) for text in several)


def _texts(value: Any) -> list[str]:
    """A text, or those of a list; empty ones are none."""
    return [str(text) for text in (value if isinstance(value, list) else [value]) if text]


def _coco(file: Path, text: str) -> Iterator[tuple[str, Words]]:
    """Entries of COCO's own layout: images, and captions or instances that name them."""
    try:
        values = json.loads(text)
        names = {image["id"]: str(image["file_name"]) for image in values["images"]}
        kinds = {kind["id"]: str(kind["name"]) for kind in values.get("categories", [])}
        captions: dict[Any, list[str]] = {}
        objects: dict[Any, set[str]] = {}
        for note in values.get("annotations", []):
            if "caption" in note:
                captions.setdefault(note["image_id"], []).append(note["caption"].strip())
            elif note.get("category_id") in kinds:
                objects.setdefault(note["image_id"], set()).add(kinds[note["category_id"]])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MetadataError(
            "bad_sidecar", f"{file} is not a COCO annotation file: {error!r}"
        ) from error
    for image_id, name in names.items():
        facts: dict[str, Any] = {}
        if objects.get(image_id):
            facts["objects"] = ", ".join(sorted(objects[image_id]))
        if len(captions.get(image_id, [])) > 1:
            facts["captions"] = _JOINT.join(captions[image_id])
        yield name, _words("", next(iter(captions.get(image_id, [])), ""), facts)


def _words(title: object, caption: object, facts: dict[str, Any]) -> Words:
    stored: dict[str, Any] = json.loads(_text(json.dumps(facts, ensure_ascii=False)))
    return Words(_text(title), _text(caption), stored)


def _text(value: object) -> str:
    """Text that can be stored: half a surrogate pair, which JSON can spell, becomes `?`."""
    return str(value or "").encode("utf-8", "replace").decode("utf-8")


def _no_number(_: str) -> None:
    """Reads NaN and Infinity, which are no JSON, as null."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What files beside a picture say of it.

    Args:
        words: That count before the picture's own: people wrote them.
        fills: That count where the picture says nothing: a time, a place.
        unread: Place of a file that cannot be read, for people -> why.
    """

    words: Words | None = None
    fills: Words = field(default_factory=Words)
    unread: Mapping[str, str] = field(default_factory=dict)


def words_beside(path: bytes) -> Beside:
    """The words in files that stand beside a picture, in its folder or archive.

    Raises:
        ImageError: when the archive cannot be read.
    """
    words, fills = None, Words()
    member = split_member(path)
    files = read_beside(path)
    for name, data in files.data.items():
        try:
            more = _words_in(os.path.splitext(name)[1].lower(), data, member is not None)
        except (ValueError, RecursionError) as error:
            files.unread[name] = _reason(error)
            continue
        if more.words is not None:
            words = more.words if words is None else words.over(more.words)
        fills = fills.over(more.fills)
    unread = {_place(path, member, name): reason for name, reason in files.unread.items()}
    return Beside(words, fills, unread)


def _place(path: bytes, member: tuple[bytes, bytes] | None, name: bytes) -> str:
    """Where a file beside a picture is, for people."""
    if member is None:
        return printable(os.path.join(os.path.dirname(path), name))
    is_scene = is_video(member[0])
    return printable(os.path.join(os.path.dirname(member[0]), name) if is_scene
                     else member_path(member[0], name))  # fmt: skip


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()}"
    return f"it is no JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)


def _words_in(suffix: bytes, data: bytes, in_archive: bool) -> Beside:
    """What a file says.

    Raises:
        ValueError: when it cannot be read; RecursionError: when it is built to be deep.
    """
    if suffix == b".xmp":
        packet = xmp_words(parsed_xmp(data))
        of_people = {key: packet.metadata[key] for key in _OF_PEOPLE if key in packet.metadata}
        return Beside(
            Words(packet.title, packet.caption, of_people), Words(metadata=packet.metadata)
        )
    text = decoded(data).strip()
    if suffix == b".txt":
        return Beside(Words(caption=text))
    if suffix == b".cls":
        return Beside(Words(metadata={"class": text}))
    values = json.loads(text)
    if not isinstance(values, dict):
        return Beside()
    if is_takeout(values):
        return Beside(fills=takeout_words(values))
    # In folders many programs keep JSON of their own beside pictures.
    return Beside(_member_words(values) if in_archive else None)


def _member_words(values: dict[str, Any]) -> Words:
    inner = values.get("metadata")
    known = values | (inner if isinstance(inner, dict) else {})
    title, caption = _take_texts(known, _TITLE), _take_texts(known, _MEMBER_CAPTION)
    facts = {
        key: value
        for key, value in known.items()
        if isinstance(value, str | int | float | bool) and key not in _OURS
    }
    return Words(title, caption, facts)

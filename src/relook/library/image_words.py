"""Titles, captions and metadata of pictures: in files beside them or in them. Layer: library.

Sidecar files are CSV and JSON lines with a `path` column, and COCO annotation JSON. Picture
files carry words themselves, and an archive may hold some beside each picture.

Sources: EXIF 2.32 (CIPA DC-008) tags; IPTC-IIM 4.2 datasets 2:05, 2:25, 2:80, 2:116, 2:120; the
WebDataset format, https://github.com/webdataset/webdataset: `key.jpg` with `key.txt` (a
caption), `key.json` (facts) and `key.cls` (a class) in one archive.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags

from relook.core.errors import MetadataError
from relook.core.images import Picture
from relook.core.picture_paths import path_bytes, split_member
from relook.core.sources import read_beside
from relook.library.records import Words, printable

__all__ = ["Sidecars", "embedded_words", "words_beside"]

_PATH_KEYS = ("path", "file", "filename", "file_name", "image")
_EXIF_KEYS = {
    "taken_at": ExifTags.Base.DateTimeOriginal,
    "camera_make": ExifTags.Base.Make,
    "camera": ExifTags.Base.Model,
    "artist": ExifTags.Base.Artist,
    "copyright": ExifTags.Base.Copyright,
}
_IPTC_TITLE, _IPTC_CAPTION, _IPTC_KEYWORDS = (2, 5), (2, 120), (2, 25)
_IPTC_KEYS = {"artist": (2, 80), "copyright": (2, 116)}
_LOG = logging.getLogger(__name__)
_TITLE, _CAPTION = ("title",), ("caption", "text", "TEXT")
_OURS = ("image_id", "path", "width_px", "height_px", "content")  # as `relook export` writes


class Sidecars:
    """Titles, captions and metadata from sidecar files, by picture.

    A path in a sidecar is absolute or relative to the sidecar's folder; where neither is
    there, a picture is known by its bare file name if no other entry has the same one.

    Args:
        files: CSV, JSONL or COCO JSON; later ones win.

    Raises:
        MetadataError: `bad_sidecar` with the file and line that cannot be read.
    """

    def __init__(self, files: list[Path]) -> None:
        self._by_path: dict[bytes, Words] = {}
        self._by_name: dict[bytes, bytes | None] = {}
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

    def get(self, path: bytes) -> Words | None:
        """The words for the picture at an absolute path, or None."""
        named = self._by_name.get(os.path.basename(path))
        return self._by_path.get(path if named is None or path in self._by_path else named)

    def _add(self, folder: Path, path: str, words: Words) -> None:
        self.n_entries += 1
        full = path_bytes(os.path.normpath(os.path.join(os.path.abspath(folder), path)))
        self._by_path[full] = words
        name = os.path.basename(full)
        if self._by_name.setdefault(name, full) != full or os.path.lexists(full):
            self._by_name[name] = None


def _entries(file: Path) -> Iterator[tuple[str, Words]]:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise MetadataError(
            "bad_sidecar", f"there is no {file}",
            "check the path (--metadata, library.metadata); a public data set's labels come with"
            " relook dataset",
        ) from error  # fmt: skip
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError("bad_sidecar", f"cannot read {file}: {error}") from error
    suffix = file.suffix.lower()
    if suffix == ".csv":
        yield from _rows(file, _csv_rows(file, text))
    elif suffix in (".jsonl", ".ndjson"):
        yield from _rows(file, _json_lines(file, text))
    elif suffix == ".json":
        yield from _coco(file, text)
    else:
        raise MetadataError(
            "bad_sidecar", f"{file} is no sidecar", "give a .csv, a .jsonl or a COCO .json file"
        )


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise MetadataError("bad_sidecar", f"{file} line {reader.line_num}: {error}") from error


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
        key = next((name for name in _PATH_KEYS if values.get(name)), None)
        if key is None:
            raise MetadataError(
                "bad_sidecar",
                f"{file} line {number} does not say which picture it is about",
                f"one column must be called {', '.join(_PATH_KEYS[:-1])} or {_PATH_KEYS[-1]}",
            )
        path = str(values.pop(key))
        title, caption = values.pop("title", None), values.pop("caption", None)
        facts = {k: v for k, v in values.items() if k and v not in (None, "", [])}
        yield path, _words(title, caption, facts)


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
            facts["captions"] = " | ".join(captions[image_id])
        yield name, _words("", next(iter(captions.get(image_id, [])), ""), facts)


def _words(title: object, caption: object, facts: dict[str, Any]) -> Words:
    stored: dict[str, Any] = json.loads(_text(json.dumps(facts, ensure_ascii=False)))
    return Words(_text(title), _text(caption), stored)


def _text(value: object) -> str:
    """Text that can be stored: half a surrogate pair, which JSON can spell, becomes `?`."""
    return str(value or "").encode("utf-8", "replace").decode("utf-8")


def _no_number(_: str) -> None:
    """Reads NaN and Infinity, which are no JSON, as null."""


def embedded_words(picture: Picture) -> Words:
    """Reads IPTC first (people write it), then EXIF (cameras do)."""
    metadata: dict[str, Any] = {}
    for key, tag in _EXIF_KEYS.items():
        if text := _clean(picture.exif.get(tag)):
            metadata[key] = text
    for key, dataset in _IPTC_KEYS.items():
        if text := _clean(picture.iptc.get(dataset)):
            metadata[key] = text
    if keywords := picture.iptc.get(_IPTC_KEYWORDS):
        several = keywords if isinstance(keywords, list) else [keywords]

        metadata["keywords"] = ", ".join(filter(None, map(_clean, several)))
    caption = picture.iptc.get(_IPTC_CAPTION)
    caption = caption or picture.exif.get(ExifTags.Base.ImageDescription)
    return Words(_clean(picture.iptc.get(_IPTC_TITLE)), _clean(caption), metadata)


def _clean(value: object) -> str:
    """Clean text of a field; cameras pad with NULs and write Latin-1 now and then."""
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        return ""
    return " ".join(value.replace("\0", " ").split())


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def words_beside(path: bytes) -> Words | None:
    """The words that stand beside a picture in its archive, or None.

    Raises:
        ImageError: when the archive cannot be read.
    """
    if split_member(path) is None:
        return None
    words = None
    for suffix, data in read_beside(path).items():
        try:
            more = _member_words(suffix, data.decode("utf-8").strip())
        except ValueError as error:
            _LOG.info("%s beside %s says nothing: %s", suffix, printable(path), error)
            continue
        words = more if words is None else words.over(more)
    return words


def _member_words(suffix: bytes, text: str) -> Words:
    if suffix == b".txt":
        return Words(caption=text)
    if suffix == b".cls":
        return Words(metadata={"class": text})
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("it is no object")
    inner = values.get("metadata")
    facts = {
        key: value
        for key, value in (values | (inner if isinstance(inner, dict) else {})).items()
        if isinstance(value, str | int | float | bool) and key not in _OURS
    }
    title, caption = _first(facts, _TITLE), _first(facts, _CAPTION)
    return Words(title, caption, facts)


def _first(facts: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first text under some keys; removes all of these keys from the facts."""
    texts = [str(facts.pop(key)) for key in keys if key in facts]
    return next(filter(None, texts), "")

"""Titles, captions and metadata from files beside the pictures. Layer: library.

Reads CSV and JSON lines with a `path` column, and COCO annotation JSON.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relook.core.errors import MetadataError
from relook.core.picture_paths import path_bytes
from relook.library.records import Words

__all__ = ["Sidecars"]

_PATH_KEYS = ("path", "file", "filename", "file_name", "image")


class Sidecars:
    """What several sidecar files say, by picture.

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
        """What is said about the picture at an absolute path, or None."""
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
    """COCO's own layout: images, and captions or instances that name them."""
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
    """NaN and Infinity, which are no JSON, say nothing."""
